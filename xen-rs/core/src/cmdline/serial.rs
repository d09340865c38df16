//! `com1=` and `com2=`: set-up of a serial port ("com1 (x86)" in xen-command-line.pandoc).

use super::word::{BadValue, take_digits, take_integer, whole_u32};

/// Input clock of a PC's UART in Hz, 16 times the highest baud rate.
const UART_CLOCK_HZ: u32 = 1_843_200;

/// Line speed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Baud {
    /// As firmware left it (`auto`).
    Auto,
    /// Bits per second, 1200 to 115200.
    Rate(u32),
}

/// Parity bit.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Parity {
    /// None.
    None,
    /// Odd.
    Odd,
    /// Even.
    Even,
    /// Always one.
    Mark,
    /// Always zero.
    Space,
}

/// Where the port's registers are.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SerialPlace {
    /// I/O port, or physical address when at 0x10000 or above.
    Base(u64),
    /// The first PCI serial controller (`pci`).
    FirstPci,
    /// The first PCI serial controller, Intel AMT's included (`amt`).
    FirstPciOrAmt,
}

/// One serial port.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct SerialPort {
    /// Line speed.
    pub baud: Baud,
    /// Input clock of the UART in Hz; the divisor is this / 16 / baud.
    pub clock_hz: u32,
    /// 5 to 8.
    pub data_bits: u8,
    /// Parity bit.
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
    /// Where the registers are.
    pub place: SerialPlace,
    /// Interrupt line; 0 polls.
    pub irq: u32,
    /// Whether to use a message-signalled interrupt (`msi`).
    pub msi: bool,
    /// log2 of the distance between registers in bytes.
    pub reg_shift: u8,
    /// Bytes of one register access: 1 or 4.
    pub reg_width: u8,
}

impl SerialPort {
    /// The PC's first port.
    pub const COM1: Self = Self {
        baud: Baud::Rate(0),
        clock_hz: UART_CLOCK_HZ,
        data_bits: 8,
        parity: Parity::None,
        stop_bits: 1,
        place: SerialPlace::Base(0x3f8),
        irq: 4,
        msi: false,
        reg_shift: 0,
        reg_width: 1,
    };
    /// The PC's second port.
    pub const COM2: Self = Self {
        place: SerialPlace::Base(0x2f8),
        irq: 3,
        ..Self::COM1
    };

    /// Divisor for the UART's latch; `None` when firmware's is kept.
    #[must_use]
    pub fn divisor(&self) -> Option<u16> {
        match self.baud {
            Baud::Auto => None,
            Baud::Rate(rate) => (self.clock_hz >> 4)
                .checked_div(rate)
                .map(|divisor| u16::try_from(divisor.max(1)).unwrap_or(u16::MAX)),
        }
    }

    /// Reads the positional part, then `name=value` pairs, over `default`. Also tells whether PCI addresses were given.
    pub(super) fn parse(text: &str, default: Self) -> Result<(Self, bool), BadValue> {
        let mut port = default;
        let mut has_pci_address = false;
        let mut named = false;
        for (position, part) in text.split(',').enumerate() {
            if let Some((name, value)) = part.split_once('=') {
                named = true;
                has_pci_address |= port.set_named(name, value)?;
            } else if named {
                return Err(BadValue);
            } else if !part.is_empty() {
                has_pci_address |= port.set_positional(position, part)?;
            }
        }
        port.check()?;
        Ok((port, has_pci_address))
    }

    fn set_positional(&mut self, position: usize, text: &str) -> Result<bool, BadValue> {
        match position {
            0 => self.set_speed(text)?,
            1 => self.set_frame(text)?,
            2 => self.place = place(text)?,
            3 if text == "msi" => (self.msi, self.irq) = (true, 0),
            3 => self.irq = whole_u32(text)?,
            4 | 5 => return Ok(true),
            _ => return Err(BadValue),
        }
        Ok(false)
    }

    fn set_named(&mut self, name: &str, value: &str) -> Result<bool, BadValue> {
        match name {
            "baud" => self.baud = baud(value)?,
            "clock-hz" => self.clock_hz = whole_u32(value)?.checked_mul(16).ok_or(BadValue)?,
            "data-bits" => self.data_bits = small(value)?,
            "parity" => self.parity = parity(value)?,
            "stop-bits" => self.stop_bits = small(value)?,
            "io-base" => self.place = place(value)?,
            "irq" => self.irq = whole_u32(value)?,
            "reg-shift" => self.reg_shift = small(value)?,
            "reg-width" => self.reg_width = small(value)?,
            "dev" if matches!(value, "pci" | "amt") => self.place = place(value)?,
            "port" | "bridge" => return Ok(true),
            _ => return Err(BadValue),
        }
        Ok(false)
    }

    /// `<baud>[/<base-baud>]`.
    fn set_speed(&mut self, text: &str) -> Result<(), BadValue> {
        let (speed, base) = match text.split_once('/') {
            Some((speed, base)) => (speed, Some(base)),
            None => (text, None),
        };
        if !speed.is_empty() {
            self.baud = baud(speed)?;
        }
        if let Some(base) = base {
            self.clock_hz = whole_u32(base)?.checked_mul(16).ok_or(BadValue)?;
        }
        Ok(())
    }

    /// Data bits, parity, stop bits, such as `8n1`.
    fn set_frame(&mut self, text: &str) -> Result<(), BadValue> {
        let (data_bits, rest) = take_digits(text, 10).ok_or(BadValue)?;
        let stop = rest.get(1..).ok_or(BadValue)?;
        self.data_bits = u8::try_from(data_bits).map_err(|_| BadValue)?;
        self.parity = parity(rest.get(..1).ok_or(BadValue)?)?;
        self.stop_bits = small(stop)?;
        Ok(())
    }

    fn check(&self) -> Result<(), BadValue> {
        let speed = match self.baud {
            Baud::Auto => true,
            Baud::Rate(rate) => (1200..=115_200).contains(&rate),
        };
        let frame = (5..=8).contains(&self.data_bits) && (1..=2).contains(&self.stop_bits);
        let registers = matches!(self.reg_width, 1 | 4)
            && self.reg_shift <= 12
            && self.place != SerialPlace::Base(0);
        if speed && frame && registers {
            Ok(())
        } else {
            Err(BadValue)
        }
    }
}

fn baud(text: &str) -> Result<Baud, BadValue> {
    match text {
        "auto" => Ok(Baud::Auto),
        _ => match take_digits(text, 10) {
            Some((rate, "")) => Ok(Baud::Rate(u32::try_from(rate).map_err(|_| BadValue)?)),
            _ => Err(BadValue),
        },
    }
}

fn parity(text: &str) -> Result<Parity, BadValue> {
    Ok(match text {
        "n" => Parity::None,
        "o" => Parity::Odd,
        "e" => Parity::Even,
        "m" => Parity::Mark,
        "s" => Parity::Space,
        _ => return Err(BadValue),
    })
}

fn place(text: &str) -> Result<SerialPlace, BadValue> {
    match text {
        "pci" => Ok(SerialPlace::FirstPci),
        "amt" => Ok(SerialPlace::FirstPciOrAmt),
        _ => match take_integer(text) {
            Some((base, "")) => Ok(SerialPlace::Base(base)),
            _ => Err(BadValue),
        },
    }
}

fn small(text: &str) -> Result<u8, BadValue> {
    u8::try_from(whole_u32(text)?).map_err(|_| BadValue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdline::Options;

    fn com1(text: &str) -> SerialPort {
        let options = Options::parse(&alloc::format!("com1={text}"));
        assert!(options.notes.is_empty(), "{text}: {:?}", options.notes);
        options.com1.unwrap()
    }

    #[test]
    fn documented_examples_parse() {
        let usual = com1("115200,8n1");
        assert_eq!(
            usual,
            SerialPort {
                baud: Baud::Rate(115_200),
                ..SerialPort::COM1
            }
        );
        assert_eq!(usual.divisor(), Some(1));
        let mapped = com1("115200,8n1,0x3f8,4,reg-width=4,reg-shift=2");
        assert_eq!((mapped.reg_width, mapped.reg_shift, mapped.irq), (4, 2, 4));
        let named = com1("baud=115200,parity=n,stop-bits=1,io-base=0x3f8,reg-width=4");
        assert_eq!(
            (named.baud, named.place),
            (Baud::Rate(115_200), SerialPlace::Base(0x3f8))
        );
    }

    #[test]
    fn left_out_positions_keep_their_default() {
        let port = com1("9600,,0x2e8");
        assert_eq!(
            (port.data_bits, port.place, port.irq),
            (8, SerialPlace::Base(0x2e8), 4)
        );
        assert_eq!(port.divisor(), Some(12));
    }

    #[test]
    fn auto_base_baud_pci_and_msi() {
        assert_eq!(com1("auto").divisor(), None);
        assert_eq!(com1("115200/921600,7e2").divisor(), Some(8));
        let options = Options::parse("com1=115200,8n1,pci,msi");
        assert_eq!(options.notes.len(), 1);
        let pci = options.com1.unwrap();
        assert!(pci.place == SerialPlace::FirstPci && pci.msi && pci.irq == 0);
    }

    #[test]
    fn pci_address_is_noted() {
        let options = Options::parse("com2=115200,8n1,0x3f8,4,02:00.0");
        assert!(options.com2.is_some() && options.notes.len() == 1);
    }

    #[test]
    fn out_of_range_settings_are_refused() {
        for bad in [
            "300",
            "230400",
            "115200,9n1",
            "115200,8x1",
            "115200,8n3",
            "115200,8",
            "115200,8n1,0",
            "",
            "8n1",
            "115200,8n1,0x3f8,4,a,b,c",
        ] {
            let options = Options::parse(&alloc::format!("com1={bad}"));
            assert!(options.com1.is_none() && options.notes.len() == 1, "{bad}");
        }
    }
}
