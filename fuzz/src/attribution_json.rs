//! Any bytes as an attribution: refused with a kind, or written and read back to the same.

use limpid::formats::attribution::{Packing, read_attribution, write_attribution};

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let Ok(found) = read_attribution::<f64>(bytes) else { return };
    let text = write_attribution(&found, Packing::Exact).expect("what was read can be written");
    assert_eq!(read_attribution::<f64>(text.as_bytes()).as_ref(), Ok(&found));
    for packing in [Packing::Half, Packing::Byte] {
        if let Ok(text) = write_attribution(&found, packing) {
            let again = read_attribution::<f64>(text.as_bytes()).expect("what was written can be read");
            assert_eq!(again.values.dim(), found.values.dim());
        }
    }
}
