//! Streams of bytes as messages of the store, and as records of its changes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenstore::engine::Change;
use xenstore::wire::{Decoder, Message, PAYLOAD_MAX};

fuzz_target!(|data: &[u8]| {
    let Some((&cut, stream)) = data.split_first() else {
        return;
    };
    let whole = messages(stream, stream.len().max(1));
    let pieces = messages(stream, usize::from(cut) + 1);
    assert_eq!(whole, pieces, "it matters how the stream is cut");
    for message in &whole {
        assert!(message.payload.len() <= PAYLOAD_MAX);
        let read = Decoder::new().next(&mut message.encode().as_slice());
        assert_eq!(read, Ok(Some(message.clone())));
    }
    changes(stream);
});

fn messages(stream: &[u8], piece: usize) -> Vec<Message> {
    let mut decoder = Decoder::new();
    let mut messages = Vec::new();
    for mut input in stream.chunks(piece) {
        loop {
            match decoder.next(&mut input) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return messages,
            }
        }
        // A daemon that is restarted goes on with what it has.
        decoder = Decoder::resume(decoder.partial().to_vec());
    }
    messages
}

fn changes(mut stream: &[u8]) {
    while let Ok(change) = Change::decode(&mut stream) {
        let mut bytes = Vec::new();
        change.encode(&mut bytes);
        assert_eq!(Change::decode(&mut bytes.as_slice()), Ok(change));
    }
}
