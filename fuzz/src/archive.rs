//! A well-formed zip archive around any bytes.

/// An archive of stored members.
pub fn stored(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in members {
        let offset = word(file.len());
        let length = word(data.len());
        let common =
            [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0], &crc32(data)[..], &length, &length, &[name.len() as u8, 0, 0, 0]];
        let common = common.concat();
        file.extend([b"PK\x03\x04", &common[..], name.as_bytes(), data].concat());
        directory.extend([b"PK\x01\x02", &[20, 0][..], &common, &[0; 10], &offset, name.as_bytes()].concat());
    }
    let count = [members.len() as u8, 0];
    let end = [b"PK\x05\x06", &[0; 4][..], &count, &count, &word(directory.len()), &word(file.len()), &[0; 2]];
    [file, directory, end.concat()].concat()
}

fn word(x: usize) -> [u8; 4] {
    (x as u32).to_le_bytes()
}

fn crc32(data: &[u8]) -> [u8; 4] {
    let remainder = data.iter().fold(u32::MAX, |remainder, &byte| {
        (0..8).fold(remainder ^ u32::from(byte), |r, _| if r & 1 == 1 { r >> 1 ^ 0xedb8_8320 } else { r >> 1 })
    });
    (!remainder).to_le_bytes()
}
