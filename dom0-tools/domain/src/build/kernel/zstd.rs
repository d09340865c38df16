//! zstd (RFC 8878), streamed into the output block by block.
//!
//! The decoder keeps a window of its own: kernels are packed with one of 128 MiB, which is also the largest accepted. A window is heap
//! for as long as its frame is unpacked. Dictionaries are not supported: kernels have none.
//!
//! The decoder asserts its own consistency; damaged data gave errors in every case tried.

use ruzstd::decoding::errors::{
    BlockHeaderReadError, DecodeBlockContentError, DecompressBlockError, FrameDecoderError,
    ReadFrameHeaderError,
};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::io::Read;

use super::decompress::{CUT_SHORT, TOO_LONG, Why};

/// Largest window accepted, in bytes.
const WINDOW_MAX: usize = 128 << 20;

const INVALID: Why = "its compressed data is invalid";

/// Unpacks all frames of `data` and returns the length.
pub(super) fn unpack(mut data: &[u8], output: &mut [u8]) -> Result<usize, Why> {
    let mut written = 0;
    while !data.is_empty() {
        let room = output.get_mut(written..).unwrap_or(&mut []);
        match begin_frame(&mut data) {
            Ok(mut decoder) => written += frame(&mut decoder, &mut data, room)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => data = data.get(length as usize..).ok_or(CUT_SHORT)?,
            Err(error) => return Err(explain(&error)),
        }
    }
    Ok(written)
}

/// Reads a frame's header and allocates its window.
fn begin_frame(data: &mut &[u8]) -> Result<FrameDecoder, FrameDecoderError> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW_MAX as u64);
    // A new decoder lets its window grow, holding the old and the new one while it copies; a used one reserves it in one piece.
    let mut header = *data;
    if let Err(error) = decoder.init(&mut header) {
        *data = header;
        return Err(error);
    }
    decoder.reset(data)?;
    Ok(decoder)
}

/// Unpacks the frame that was begun and returns its length.
fn frame(decoder: &mut FrameDecoder, data: &mut &[u8], room: &mut [u8]) -> Result<usize, Why> {
    let mut written = 0;
    while !decoder.is_finished() {
        // With more blocks at a time the window would outgrow what was reserved.
        let step = BlockDecodingStrategy::UptoBlocks(1);
        decoder
            .decode_blocks(&mut *data, step)
            .map_err(|error| explain(&error))?;
        let rest = room.get_mut(written..).unwrap_or(&mut []);
        written += decoder.read(rest).map_err(|_| INVALID)?;
        if decoder.can_collect() != 0 {
            return Err(TOO_LONG);
        }
    }
    // Zero also stands for a header that does not tell.
    if decoder.content_size() != 0 && decoder.content_size() != written as u64 {
        return Err("a frame has not the length it says");
    }
    let stored = decoder.get_checksum_from_data();
    if stored.is_some() && stored != decoder.get_calculated_checksum() {
        return Err("its checksum does not match");
    }
    Ok(written)
}

fn explain(error: &FrameDecoderError) -> Why {
    use FrameDecoderError as Frame;
    match error {
        Frame::ReadFrameHeaderError(ReadFrameHeaderError::BadMagicNumber(_)) => {
            "it does not begin with a frame"
        }
        Frame::ReadFrameHeaderError(_)
        | Frame::FailedToReadChecksum(_)
        | Frame::FailedToReadBlockHeader(BlockHeaderReadError::ReadError(_))
        | Frame::FailedToReadBlockBody(
            DecodeBlockContentError::ReadError { .. }
            | DecodeBlockContentError::DecompressBlockError(
                DecompressBlockError::BlockContentReadError(_),
            ),
        ) => CUT_SHORT,
        Frame::FrameHeaderError(_) => "its frame header is invalid",
        Frame::WindowSizeTooBig { .. } => "its window is too large",
        Frame::DictNotProvided { .. } => "it needs a dictionary",
        _ => INVALID,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame header without sizes, then blocks.
    fn frame_of(window: u8, blocks: &[&[u8]]) -> Vec<u8> {
        [&[0x28, 0xb5, 0x2f, 0xfd, 0, window], &*blocks.concat()].concat()
    }

    /// A last block of the two bytes.
    const LAST_RAW: &[u8] = &[2 << 3 | 1, 0, 0, b'o', b'k'];

    #[test]
    fn frames_follow_each_other_with_skipped_ones_between() {
        let one = frame_of(0x50, &[LAST_RAW]);
        let skipped = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
        let data = [&one[..], &skipped, &one, &skipped].concat();
        let mut output = [0; 5];
        assert_eq!(unpack(&data, &mut output), Ok(4));
        assert_eq!(&output, b"okok\0");
        assert_eq!(unpack(&data[..data.len() - 1], &mut output), Err(CUT_SHORT));
    }

    #[test]
    fn limits_are_errors_with_their_reason() {
        let mut output = [0; 2];
        let mut unpack = |data: &[u8]| super::unpack(data, &mut output);
        // 144 MiB, the next after 128.
        let window = frame_of(0x89, &[LAST_RAW]);
        assert_eq!(unpack(&window), Err("its window is too large"));
        assert_eq!(unpack(&frame_of(0x88, &[LAST_RAW])), Ok(2));
        assert_eq!(unpack(b"ELF!"), Err("it does not begin with a frame"));
        assert_eq!(unpack(&frame_of(0x50, &[&[6, 0, 0]])), Err(INVALID));
        assert_eq!(unpack(&frame_of(0x50, &[])), Err(CUT_SHORT));
        // A repeated byte of length 3.
        assert_eq!(
            unpack(&frame_of(0x50, &[&[3 << 3 | 3, 0, 0, 7]])),
            Err(TOO_LONG)
        );
        let dictionary = [0x28, 0xb5, 0x2f, 0xfd, 1, 0x50, 7];
        assert_eq!(unpack(&dictionary), Err("it needs a dictionary"));
        // A single segment that says three bytes and has two.
        let length = [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, 3], LAST_RAW].concat();
        assert_eq!(unpack(&length), Err("a frame has not the length it says"));
    }

    #[test]
    fn wrong_checksum_is_an_error() {
        let mut data = include_bytes!("testdata/text.zst3").to_vec();
        let mut output = vec![0; 1 << 20];
        assert!(unpack(&data, &mut output).is_ok());
        *data.last_mut().unwrap() ^= 1;
        assert_eq!(
            unpack(&data, &mut output),
            Err("its checksum does not match")
        );
    }
}
