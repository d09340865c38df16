//! What becomes of the domain when it shuts down.

use crate::model::{DomainConfig, ShutdownAction};

use super::reader::Reader;

pub fn read(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    config.on_poweroff = action(reader, "on_poweroff", ShutdownAction::Destroy);
    config.on_reboot = action(reader, "on_reboot", ShutdownAction::Restart);
    config.on_watchdog = action(reader, "on_watchdog", ShutdownAction::Destroy);
    config.on_crash = action(reader, "on_crash", ShutdownAction::Destroy);
    config.on_soft_reset = action(reader, "on_soft_reset", ShutdownAction::SoftReset);
}

fn action(reader: &mut Reader<'_>, name: &str, default: ShutdownAction) -> ShutdownAction {
    let from_word = |text: &str| {
        ShutdownAction::WORDS
            .iter()
            .find(|(_, word)| *word == text)
            .map(|(action, _)| *action)
    };
    reader.choice(name, from_word).unwrap_or(default)
}
