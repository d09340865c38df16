//! Virtual sound cards.

use crate::json::{names, record};

names! {
    /// Format of a sample.
    PcmFormat, "a sample format" {
        /// Signed 8 bits.
        #[default]
        S8 = "s8",
        /// Unsigned 8 bits.
        U8 = "u8",
        /// Signed 16 bits, little-endian.
        S16Le = "s16_le",
        /// Signed 16 bits, big-endian.
        S16Be = "s16_be",
        /// Unsigned 16 bits, little-endian.
        U16Le = "u16_le",
        /// Unsigned 16 bits, big-endian.
        U16Be = "u16_be",
        /// Signed 24 bits, little-endian.
        S24Le = "s24_le",
        /// Signed 24 bits, big-endian.
        S24Be = "s24_be",
        /// Unsigned 24 bits, little-endian.
        U24Le = "u24_le",
        /// Unsigned 24 bits, big-endian.
        U24Be = "u24_be",
        /// Signed 32 bits, little-endian.
        S32Le = "s32_le",
        /// Signed 32 bits, big-endian.
        S32Be = "s32_be",
        /// Unsigned 32 bits, little-endian.
        U32Le = "u32_le",
        /// Unsigned 32 bits, big-endian.
        U32Be = "u32_be",
        /// 32-bit floating point, little-endian.
        F32Le = "f32_le",
        /// 32-bit floating point, big-endian.
        F32Be = "f32_be",
        /// 64-bit floating point, little-endian.
        F64Le = "f64_le",
        /// 64-bit floating point, big-endian.
        F64Be = "f64_be",
        /// IEC 958 subframes, little-endian.
        Iec958SubframeLe = "iec958_subframe_le",
        /// IEC 958 subframes, big-endian.
        Iec958SubframeBe = "iec958_subframe_be",
        /// G.711 mu-law.
        MuLaw = "mu_law",
        /// G.711 A-law.
        ALaw = "a_law",
        /// IMA ADPCM.
        ImaAdpcm = "ima_adpcm",
        /// MPEG.
        Mpeg = "mpeg",
        /// GSM.
        Gsm = "gsm",
    }
}

record! {
    /// libxl's `vsnd_params`.
    SoundParams {
        /// `sample-rates=` in Hz.
        sample_rates: Vec<u32>,
        /// `sample-formats=`
        sample_formats: Vec<PcmFormat>,
        /// `channels-min=`
        channels_min: u32,
        /// `channels-max=`
        channels_max: u32,
        /// `buffer-size=` in bytes.
        buffer_size: u32,
    }
}

names! {
    /// Direction of a stream.
    SoundStreamType, "a stream type" {
        /// Not said.
        #[default]
        Unknown = "unknown",
        /// Playback.
        Playback = "p",
        /// Capture.
        Capture = "c",
    }
}

record! {
    /// libxl's `vsnd_stream`.
    SoundStream {
        /// `unique-id=`
        unique_id: Option<String>,
        /// `type=`
        kind as "type": SoundStreamType,
        /// Overrides of the device's parameters.
        params: SoundParams,
    }
}

record! {
    /// libxl's `vsnd_pcm`.
    SoundPcm {
        /// `name=`
        name: Option<String>,
        /// Overrides of the card's parameters.
        params: SoundParams,
        /// Its streams.
        streams: Vec<SoundStream>,
    }
}

record! {
    /// libxl's `device_vsnd`.
    Sound {
        /// The back end's domain as a number.
        backend_domid: u32,
        /// `backend=`
        backend_domname: Option<String>,
        /// Place in the list.
        devid: Option<u32>,
        /// `short-name=`
        short_name: Option<String>,
        /// `long-name=`
        long_name: Option<String>,
        /// Parameters of every device and stream.
        params: SoundParams,
        /// Its devices.
        pcms: Vec<SoundPcm>,
    }
}
