//! `vsnd=[["card, …", "pcm, …", "stream, …"], …]`: each card is a list of parts, each part a list of words.

use crate::grammar::ValueKind;
use crate::model::{
    DomainConfig, PcmFormat, Sound, SoundParams, SoundPcm, SoundStream, SoundStreamType,
};
use crate::problem::quoted;

use super::reader::{Item, Reader};
use super::words::{Specification, Word, split, words};

pub fn read(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    let Some(setting) = reader.setting("vsnd") else {
        return;
    };
    let ValueKind::List(cards) = &setting.value.kind else {
        return reader.unexpected("vsnd", &setting.value);
    };
    for value in cards {
        let ValueKind::List(parts) = &value.kind else {
            reader.problem(value.place.clone(), "expected a list such as [ \"card, short-name=a\" ] for a sound card, found a string");
            continue;
        };
        let mut card = Sound {
            devid: u32::try_from(config.vsnds.len()).ok(),
            ..Sound::default()
        };
        for item in reader.strings_of("vsnd", parts) {
            read_part(reader, item, &mut card);
        }
        config.vsnds.push(card);
    }
}

/// The first word says what the part is about: the card, a new device, or a new stream of the last device.
fn read_part(reader: &mut Reader<'_>, item: Item<'_>, card: &mut Sound) {
    let mut specification = Specification::new(reader, item, "sound card");
    let mut words = words(item.text);
    let Some(kind) = words.next() else {
        return;
    };
    match kind.text.to_ascii_lowercase().as_str() {
        "card" => words.for_each(|word| read_card_word(&mut specification, card, word)),
        "pcm" => {
            let mut pcm = SoundPcm::default();
            words.for_each(|word| read_pcm_word(&mut specification, &mut pcm, word));
            card.pcms.push(pcm);
        }
        "stream" => {
            let mut stream = SoundStream::default();
            words.for_each(|word| read_stream_word(&mut specification, &mut stream, word));
            if card.pcms.is_empty() {
                card.pcms.push(SoundPcm::default());
            }
            card.pcms
                .iter_mut()
                .last()
                .into_iter()
                .for_each(|pcm| pcm.streams.push(stream.clone()));
        }
        _ => {
            let message = format!(
                "expected \"card\", \"pcm\" or \"stream\" at the start of a part of a sound card, found {}",
                quoted(kind.text)
            );
            specification
                .reader
                .problem(specification.place(kind), message);
        }
    }
}

fn read_card_word(specification: &mut Specification<'_, '_, '_>, card: &mut Sound, word: Word<'_>) {
    match word.pair() {
        Some(("backend", value)) => card.backend_domname = value.string(),
        Some(("short-name", value)) => card.short_name = value.string(),
        Some(("long-name", value)) => card.long_name = value.string(),
        _ => read_parameter(specification, &mut card.params, word),
    }
}

fn read_pcm_word(
    specification: &mut Specification<'_, '_, '_>,
    pcm: &mut SoundPcm,
    word: Word<'_>,
) {
    match word.pair() {
        Some(("name", value)) => pcm.name = value.string(),
        _ => read_parameter(specification, &mut pcm.params, word),
    }
}

fn read_stream_word(
    specification: &mut Specification<'_, '_, '_>,
    stream: &mut SoundStream,
    word: Word<'_>,
) {
    match word.pair() {
        Some(("unique-id", value)) => stream.unique_id = value.string(),
        Some(("type", value)) => {
            let kind = SoundStreamType::from_name(value.text)
                .filter(|kind| *kind != SoundStreamType::Unknown);
            stream.kind = specification
                .choice("type", value, kind, "p or c")
                .unwrap_or_default();
        }
        _ => read_parameter(specification, &mut stream.params, word),
    }
}

fn read_parameter(
    specification: &mut Specification<'_, '_, '_>,
    params: &mut SoundParams,
    word: Word<'_>,
) {
    match word.pair() {
        Some((key @ "sample-rates", value)) => {
            params.sample_rates = parts(value)
                .filter_map(|rate| specification.number(key, rate))
                .collect();
        }
        Some((key @ "sample-formats", value)) => {
            let format = |word: Word<'_>| PcmFormat::from_name(word.text);
            let formats = parts(value).filter_map(|word| {
                specification.choice(key, word, format(word), "a sample format such as s16_le")
            });
            params.sample_formats = formats.collect();
        }
        Some((key @ "channels-min", value)) => {
            params.channels_min = specification.number(key, value).unwrap_or_default()
        }
        Some((key @ "channels-max", value)) => {
            params.channels_max = specification.number(key, value).unwrap_or_default()
        }
        Some((key @ "buffer-size", value)) => {
            params.buffer_size = specification.number(key, value).unwrap_or_default()
        }
        _ => specification.unknown(word),
    }
}

/// The parts of a value between semicolons.
fn parts(value: Word<'_>) -> impl Iterator<Item = Word<'_>> {
    split(value.text, ';').map(move |part| Word {
        text: part.text,
        offset: value.offset + part.offset,
    })
}
