//! Sparse autoencoders behind a C interface; `limpid.h` says what each function does.
//!
//! Nothing panics across the border, and memory of the caller is read and written whole slices at a time.

use core::error::Error;
use core::ffi::{CStr, c_char};
use core::{ptr, slice};
use std::cell::RefCell;
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use limpid::formats::{Hint, disk};
use limpid::sae::{Codes, PreparedSae};
use ndarray::ArrayView2;

type Outcome<V> = Result<V, Box<dyn Error>>;

const OK: i32 = 0;
const FAILED: i32 = 1;
const NO_ROOM: i32 = 2;

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// Does `what`; where it fails, keeps the reason and gives `failed`.
fn guarded<V>(failed: V, what: impl FnOnce() -> Outcome<V>) -> V {
    let outcome = catch_unwind(AssertUnwindSafe(what)).unwrap_or_else(|_| Err("limpid panicked".into()));
    outcome.unwrap_or_else(|error| {
        keep(&error.to_string());
        failed
    })
}

fn keep(error: &str) {
    let text = CString::new(error.replace('\0', " ")).unwrap_or_default();
    LAST.with(|last| last.replace(text));
}

/// # Safety
/// `from` is null, or points to `len` values that nobody writes to during `'a`.
unsafe fn read<'a, V>(from: *const V, len: usize) -> Outcome<&'a [V]> {
    let fits = len.checked_mul(size_of::<V>()).is_some_and(|bytes| bytes <= isize::MAX as usize);
    match (len, from.is_null()) {
        (0, _) => Ok(&[]),
        (_, true) => Err("a pointer is NULL".into()),
        _ if !fits => Err("more values than memory can hold".into()),
        // SAFETY: not null, not too long, and the caller vouches for the rest
        _ => Ok(unsafe { slice::from_raw_parts(from, len) }),
    }
}

/// # Safety
/// `to` is null, or has room for the values, and is none of them.
unsafe fn write<V: Copy>(values: &[V], to: *mut V) -> Outcome<()> {
    if to.is_null() && !values.is_empty() {
        return Err("a pointer is NULL".into());
    }
    if !values.is_empty() {
        // SAFETY: the caller vouches for the room; it may be uninitialised, so no slice is made of it
        unsafe { ptr::copy_nonoverlapping(values.as_ptr(), to, values.len()) };
    }
    Ok(())
}

/// # Safety
/// `sae` is null or comes from `limpid_open` and was not freed.
unsafe fn handle<'a>(sae: *const PreparedSae<f32>) -> Outcome<&'a PreparedSae<f32>> {
    // SAFETY: the caller vouches for it
    unsafe { sae.as_ref() }.ok_or_else(|| "the autoencoder is NULL".into())
}

/// # Safety
/// `path` is null or a string that ends in 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limpid_open(path: *const c_char) -> *mut PreparedSae<f32> {
    guarded(ptr::null_mut(), || {
        if path.is_null() {
            return Err("the path is NULL".into());
        }
        // SAFETY: the caller vouches for it
        let path = unsafe { CStr::from_ptr(path) }.to_str()?;
        let sae = PreparedSae::new(disk::load(path, &Hint::default())?.sae)?;
        Ok(Box::into_raw(Box::new(sae)))
    })
}

/// # Safety
/// `sae` is null or comes from `limpid_open`, and is never used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limpid_free(sae: *mut PreparedSae<f32>) {
    guarded((), || {
        if !sae.is_null() {
            // SAFETY: it was made by `Box::into_raw`, and the caller vouches that it is freed once
            drop(unsafe { Box::from_raw(sae) });
        }
        Ok(())
    });
}

macro_rules! size {
    ($name:ident, $of:ident) => {
        /// # Safety
        /// `sae` is null or comes from `limpid_open` and was not freed.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(sae: *const PreparedSae<f32>) -> usize {
            // SAFETY: the caller vouches for it
            guarded(0, || Ok(unsafe { handle(sae)? }.sae().$of()))
        }
    };
}

size!(limpid_inputs, d_in);
size!(limpid_outputs, d_out);
size!(limpid_latents, latents);

/// # Safety
/// `sae` as in `limpid_free`, not freed; every pointer is null or has as much behind it as `limpid.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limpid_encode(
    sae: *const PreparedSae<f32>,
    x: *const f32,
    rows: usize,
    starts: *mut usize,
    latents: *mut u32,
    values: *mut f32,
    room: usize,
) -> i32 {
    guarded(FAILED, || {
        // SAFETY: the caller vouches for it
        let sae = unsafe { handle(sae)? };
        let width = sae.sae().d_in();
        // SAFETY: the caller vouches for it; more than memory can hold is refused
        let x = unsafe { read(x, rows.saturating_mul(width))? };
        let codes = sae.encode_sparse(&ArrayView2::from_shape((rows, width), x)?)?;
        let (mut ends, mut found, mut numbers) = (vec![0], Vec::new(), Vec::new());
        for row in 0..rows {
            found.extend(codes.row(row).map(|(latent, _)| latent as u32));
            numbers.extend(codes.row(row).map(|(_, value)| value));
            ends.push(found.len());
        }
        // SAFETY: the caller vouches for room for rows + 1
        unsafe { write(&ends, starts)? };
        if found.len() > room {
            keep(&format!("{} features need room, and there is some for {room}", found.len()));
            return Ok(NO_ROOM);
        }
        // SAFETY: there is room for all of them in both
        unsafe { (write(&found, latents)?, write(&numbers, values)?) };
        Ok(OK)
    })
}

/// # Safety
/// As `limpid_encode`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limpid_decode(
    sae: *const PreparedSae<f32>,
    rows: usize,
    starts: *const usize,
    latents: *const u32,
    values: *const f32,
    out: *mut f32,
) -> i32 {
    guarded(FAILED, || {
        // SAFETY: the caller vouches for both
        let (sae, starts) = unsafe { (handle(sae)?, read(starts, rows.saturating_add(1))?) };
        let all = starts[rows];
        // SAFETY: the caller vouches for both
        let (latents, values) = unsafe { (read(latents, all)?, read(values, all)?) };
        let mut codes = Codes::new(sae.sae().latents())?;
        for row in starts.windows(2) {
            let latents = latents.get(row[0]..row[1]).ok_or("starts do not ascend")?;
            codes.push(latents.iter().zip(&values[row[0]..]).map(|(&latent, &value)| (latent as usize, value)))?;
        }
        let decoded: Vec<f32> = sae.decode_sparse(&codes)?.into_iter().collect();
        // SAFETY: the caller vouches for room for a row of outputs each
        unsafe { write(&decoded, out)? };
        Ok(OK)
    })
}

/// Why the last call of this thread that failed did.
#[unsafe(no_mangle)]
pub extern "C" fn limpid_error() -> *const c_char {
    // it stays where it is until the next failure of this thread
    LAST.with_borrow(|last| last.as_ptr())
}
