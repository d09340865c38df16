//! The few AML objects a guest without devices needs (ACPI 6.4, chapter 20).

const ZERO: u8 = 0x00;
const BYTE: u8 = 0x0a;
const NAME: u8 = 0x08;
const STRING: u8 = 0x0d;
const SCOPE: u8 = 0x10;
const BUFFER: u8 = 0x11;
const DEVICE: [u8; 2] = [0x5b, 0x82];
/// Most bytes a package length of one byte tells.
const SHORT_LENGTH_MAX: usize = 0x3f;

/// `Scope(\name) { body }`.
pub fn scope(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let name = [b"\\".as_slice(), name].concat();
    [&[SCOPE], package(&[&name, body]).as_slice()].concat()
}

/// `Device(name) { body }`.
pub fn device(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&DEVICE, package(&[name, body]).as_slice()].concat()
}

/// `Name(name, value)`.
pub fn name(name: &[u8; 4], value: &[u8]) -> Vec<u8> {
    [&[NAME], name.as_slice(), value].concat()
}

/// A number.
pub fn byte(value: u8) -> Vec<u8> {
    match value {
        0 => vec![ZERO],
        value => vec![BYTE, value],
    }
}

/// A string.
pub fn string(text: &str) -> Vec<u8> {
    [&[STRING], text.as_bytes(), &[0]].concat()
}

/// `Buffer() { bytes }`, up to 255 bytes.
pub fn buffer(bytes: &[u8]) -> Vec<u8> {
    let size = byte(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    [&[BUFFER], package(&[&size, bytes]).as_slice()].concat()
}

/// The parts behind their length, which counts itself. "Package Length Encoding": bits 7:6 of the first byte say how many follow; with none
/// it has 6 bits of the length, else 4, the least significant.
fn package(parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = Vec::with_capacity(body.len() + 4);
    if body.len() < SHORT_LENGTH_MAX {
        out.push(body.len() as u8 + 1);
    } else {
        // One byte more reaches 2^12, each further one 8 bits more.
        let more = match body.len() + 4 {
            ..0x1000 => 1,
            0x1000..0x10_0000 => 2,
            _ => 3,
        };
        let length = body.len() + 1 + more;
        out.push((more as u8) << 6 | (length as u8 & 0xf));
        out.extend((0..more).map(|index| (length >> (4 + 8 * index)) as u8));
    }
    out.extend(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_the_bytes_iasl_gives() {
        // Device (PR00) { Name (_HID, "ACPI0007") Name (_UID, 0) } in Scope (\_SB_)
        let body = [name(b"_HID", &string("ACPI0007")), name(b"_UID", &byte(0))].concat();
        let scope = scope(b"_SB_", &device(b"PR00", &body));
        let expected = b"\x10\x22\\_SB_\x5b\x82\x1aPR00\x08_HID\x0dACPI0007\0\x08_UID\0";
        assert_eq!(scope, expected);
        assert_eq!(buffer(&[1, 2]), [0x11, 5, 0x0a, 2, 1, 2]);
    }

    #[test]
    fn package_lengths_of_every_size_count_themselves() {
        assert_eq!(package(&[&[7; 62]])[..2], [63, 7]);
        assert_eq!(package(&[&[7; 63]])[..3], [0x41, 0x04, 7]);
        let long = package(&[&[7; 0x1234]]);
        assert_eq!(long[..4], [0x80 | 7, 0x23, 0x01, 7]);
        assert_eq!(long.len(), 0x1237);
    }
}
