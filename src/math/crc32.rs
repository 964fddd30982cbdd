//! The checksum of zip archives, and of everything else that is kept as bytes.
//!
//! Source: ISO 3309, polynomial 0x04c11db7 in reversed bit order; eight bytes a step as in Kounavis and Berry, "A
//! systematic approach to building high performance software-based CRC generators" (2005).

/// `TABLES[t][b]`: what byte `b` does to a remainder that `t` more bytes follow.
const TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0_u32; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "a byte fits")]
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            remainder = if remainder & 1 == 1 { remainder >> 1 ^ 0xedb8_8320 } else { remainder >> 1 };
            bit += 1;
        }
        tables[0][byte] = remainder;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// Checksum of `bytes`.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let (steps, rest) = bytes.as_chunks::<8>();
    let mut crc = u32::MAX;
    for step in steps {
        let low = crc.to_le_bytes();
        let mut next = 0;
        for (at, &byte) in step.iter().enumerate() {
            let mixed = byte ^ low.get(at).copied().unwrap_or(0);
            next ^= TABLES[7 - at][usize::from(mixed)];
        }
        crc = next;
    }
    for &byte in rest {
        crc = crc >> 8 ^ TABLES[0][usize::from(crc.to_le_bytes()[0] ^ byte)];
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b"The quick brown fox jumps over the lazy dog"), 0x414f_a339);
    }
}
