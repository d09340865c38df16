//! zstd.
use super::{CUT_SHORT, TOO_LONG, Why};
pub(super) const HEAP_NEED: usize = 192 << 20;
pub(super) fn unpack(data: &[u8], output: &mut [u8]) -> Result<usize, Why> {
    use ruzstd::decoding::errors::FrameDecoderError as E;
    ruzstd::decoding::FrameDecoder::new()
        .decode_all(data, output)
        .map_err(|e| match e {
            E::TargetTooSmall => TOO_LONG,
            E::FailedToReadBlockHeader(_) => CUT_SHORT,
            _ => "its compressed data is invalid",
        })
}
