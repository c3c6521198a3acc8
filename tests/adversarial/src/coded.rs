//! Bodies in codings, written by hand: the coders of libraries would not leave them so plain.

/// `gzip` (RFC 1952) with the bytes stored as they are (RFC 1951, section 3.2.4).
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut stored = vec![1];
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    stored.extend(length.to_le_bytes());
    stored.extend((!length).to_le_bytes());
    stored.extend(bytes);
    member(&stored, crc32(bytes.iter().copied()), bytes.len())
}

/// `br` (RFC 7932) with the bytes, at most 64 KiB of them, stored as they are: a window of 16 bits, one meta-block that is not
/// compressed, and an empty last one.
pub fn brotli(bytes: &[u8]) -> Vec<u8> {
    // From the lowest bit on: WBITS 0; ISLAST 0, MNIBBLES 0 (4), MLEN - 1 in 16 bits, ISUNCOMPRESSED 1, up to the byte's end.
    let head = (u32::try_from(bytes.len()).unwrap_or(1) - 1) << 4 | 1 << 20;
    let [first, second, third, _] = head.to_le_bytes();
    [&[first, second, third][..], bytes, &[3]].concat()
}

/// `gzip` of so many times 258 zeros, and one, in some 1000th of that: matches of the greatest length in the fixed code
/// (RFC 1951, section 3.2.6).
pub fn bomb(times: usize) -> Vec<u8> {
    let (mut bytes, mut current, mut filled) = (Vec::new(), 0u32, 0);
    let mut push = |bits: u32, count: u32| {
        current |= bits << filled;
        filled += count;
        while filled >= 8 {
            bytes.push((current & 0xff) as u8);
            current >>= 8;
            filled -= 8;
        }
    };
    // The last block, fixed codes; codes stand highest bit first. A literal 0 is 00110000, length 258 is 11000101, distance 1
    // is 00000, and the end is 0000000.
    push(0b011, 3);
    push(0b0000_1100, 8);
    (0..times).for_each(|_| push(0b1010_0011, 13));
    push(0, 7);
    push(0, 7);
    let length = 1 + 258 * times;
    member(&bytes, crc32(std::iter::repeat_n(0, length)), length)
}

fn member(deflated: &[u8], checksum: u32, length: usize) -> Vec<u8> {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    [&head[..], deflated, &checksum.to_le_bytes(), &length.to_le_bytes()].concat()
}

fn crc32(bytes: impl Iterator<Item = u8>) -> u32 {
    let step = |crc: u32, byte: u8| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    };
    !bytes.fold(!0, step)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_checksum_is_the_standards() {
        assert_eq!(crc32(b"123456789".iter().copied()), 0xcbf4_3926);
    }

    /// gzip(1) is on every Debian machine.
    #[test]
    fn gzip_reads_what_is_written() {
        for (coded, expected) in [(gzip(b"a secret"), b"a secret".to_vec()), (bomb(3), vec![0; 775])] {
            let mut command = Command::new("gzip");
            let mut child = command.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(&coded).unwrap();
            let output = child.wait_with_output().unwrap();
            assert_eq!((output.status.success(), output.stdout), (true, expected));
        }
    }
}
