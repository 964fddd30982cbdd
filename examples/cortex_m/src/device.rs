//! The microcontroller: memory, output, and what was used of it. Lines about the device begin with `#`.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt::Write;
use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

// the single-core critical section of this crate is all that is needed of it
use cortex_m as _;
use cortex_m_rt::{STACK_PAINT_VALUE, entry};
use cortex_m_semihosting::{debug, hio};
use embedded_alloc::LlffHeap;

/// Bytes of the heap; there is no other memory than this, the stack and a few counters.
const HEAP_BYTES: usize = 96 * 1024;

static mut MEMORY: [MaybeUninit<u8>; HEAP_BYTES] = [MaybeUninit::uninit(); HEAP_BYTES];

#[global_allocator]
static HEAP: Counted = Counted { heap: LlffHeap::empty(), peak: AtomicUsize::new(0) };

/// A heap that remembers how full it was.
struct Counted {
    heap: LlffHeap,
    peak: AtomicUsize,
}

// SAFETY: both calls are those of the heap, with the same arguments.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        let at = unsafe { self.heap.alloc(layout) };
        self.peak.fetch_max(self.heap.used(), Ordering::Relaxed);
        at
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.heap.dealloc(at, layout) };
    }
}

#[entry]
fn main() -> ! {
    // SAFETY: the memory is used for nothing else, and this is the only call.
    unsafe { HEAP.heap.init(&raw mut MEMORY as usize, HEAP_BYTES) };
    let outcome = run();
    debug::exit(if outcome.is_ok() { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    unreachable!("the machine has stopped")
}

fn run() -> Result<(), ()> {
    let mut out = hio::hstdout()?;
    let outcome = limpid_cortex_m::report(&mut out);
    if let Err(trouble) = &outcome {
        writeln!(out, "failed: {trouble}").map_err(|_| ())?;
    }
    let peak = HEAP.peak.load(Ordering::Relaxed);
    writeln!(out, "# heap: {peak} of {HEAP_BYTES} bytes at most; stack: {} bytes", stack_used()).map_err(|_| ())?;
    outcome.map(|_| ()).map_err(|_| ())
}

/// Bytes of the stack that are no longer as the start-up code painted them.
fn stack_used() -> usize {
    unsafe extern "C" {
        static _stack_end: u32;
        static _stack_start: u32;
    }
    let (low, top) = (&raw const _stack_end, &raw const _stack_start);
    let words = (top as usize - low as usize) / size_of::<u32>();
    // SAFETY: all words between the two symbols of the linker belong to the stack.
    let painted = |&word: &usize| unsafe { low.add(word).read_volatile() } == STACK_PAINT_VALUE;
    (words - (0..words).take_while(painted).count()) * size_of::<u32>()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if let Ok(mut out) = hio::hstdout() {
        // nothing is left to be done where even this fails
        let _ = writeln!(out, "{info}");
    }
    debug::exit(debug::EXIT_FAILURE);
    loop {}
}
