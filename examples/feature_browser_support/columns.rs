//! Columns of numbers inside of a page: little-endian, as base64, so that the page reads them as typed arrays.

use core::fmt::Write;

use limpid::formats::base64;

/// A number of a column.
pub trait Number: Copy {
    /// Name of its type on the page.
    const TYPE: &'static str;

    fn write(self, out: &mut Vec<u8>);
}

macro_rules! number {
    ($($number:ident),*) => {$(
        impl Number for $number {
            const TYPE: &'static str = stringify!($number);

            fn write(self, out: &mut Vec<u8>) {
                out.extend(self.to_le_bytes());
            }
        }
    )*};
}

number!(u8, u16, u32, f32);

/// One element of a page per column; none is decoded before it is needed.
#[derive(Default)]
pub struct Columns(String);

impl Columns {
    pub fn add<N: Number>(&mut self, name: &str, numbers: impl IntoIterator<Item = N>) {
        let mut bytes = Vec::new();
        numbers.into_iter().for_each(|number| number.write(&mut bytes));
        let (kind, data) = (N::TYPE, base64::encode(&bytes));
        let _ = writeln!(self.0, "<script type=\"text/plain\" id=\"{name}\" data-type=\"{kind}\">{data}</script>");
    }

    pub fn html(self) -> String {
        self.0
    }
}

/// The column `name` of a page, as it was added.
pub fn column(page: &str, name: &str) -> Option<Vec<u32>> {
    let (_, rest) = page.split_once(&format!(" id=\"{name}\" data-type=\""))?;
    let (kind, rest) = rest.split_once("\">")?;
    let bytes = base64::decode(rest.split_once("</script>")?.0)?;
    Some(match kind {
        "u8" => bytes.into_iter().map(u32::from).collect(),
        "u16" => bytes.as_chunks().0.iter().map(|&b| u16::from_le_bytes(b).into()).collect(),
        _ => bytes.as_chunks().0.iter().map(|&b| u32::from_le_bytes(b)).collect(),
    })
}
