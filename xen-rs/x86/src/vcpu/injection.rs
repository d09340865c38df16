//! What happens when an event comes up while another is being delivered.
//!
//! Semantics: AMD APM volume 2, "#DF—Double-Fault Exception", table "Simultaneous Interrupt and Exception Priorities", and Intel SDM
//! volume 3, "Conditions for Generating a Double Fault".

use super::backend::Event;

const DOUBLE_FAULT: u8 = 8;
const PAGE_FAULT: u8 = 14;

/// What the guest gets of two events.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Combined {
    /// This.
    Event(Event),
    /// A triple fault.
    Shutdown,
}

/// Divide error, invalid TSS, segment not present, stack, general protection.
const fn is_contributory(vector: u8) -> bool {
    matches!(vector, 0 | 10..=13)
}

/// `second` was raised while `first` was being delivered. Events that cannot be combined are taken one after the other, and the first, which
/// does not become a double fault, is raised again by its own cause.
#[must_use]
pub const fn combine(first: Event, second: Event) -> Combined {
    let (Event::Exception { vector: a, .. }, Event::Exception { vector: b, .. }) = (first, second)
    else {
        return Combined::Event(second);
    };
    let b_counts = is_contributory(b) || b == PAGE_FAULT;
    if a == DOUBLE_FAULT && b_counts {
        return Combined::Shutdown;
    }
    let is_double = (is_contributory(a) && is_contributory(b)) || (a == PAGE_FAULT && b_counts);
    Combined::Event(if is_double {
        Event::Exception {
            vector: DOUBLE_FAULT,
            error_code: Some(0),
        }
    } else {
        second
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn exception(vector: u8) -> Event {
        Event::Exception {
            vector,
            error_code: Some(0),
        }
    }

    #[test]
    fn contributory_exceptions_become_a_double_fault() {
        for (first, second, result) in [
            (13, 13, DOUBLE_FAULT),
            (13, 11, DOUBLE_FAULT),
            (14, 14, DOUBLE_FAULT),
            (14, 13, DOUBLE_FAULT),
            (13, 14, 14),
            (6, 13, 13),
            (13, 1, 1),
            (17, 17, 17),
        ] {
            assert_eq!(
                combine(exception(first), exception(second)),
                Combined::Event(exception(result)),
                "{first} {second}"
            );
        }
    }

    #[test]
    fn a_fault_in_a_double_fault_ends_the_machine() {
        for second in [0, 10, 13, 14] {
            assert_eq!(
                combine(exception(DOUBLE_FAULT), exception(second)),
                Combined::Shutdown
            );
        }
        assert_eq!(
            combine(exception(DOUBLE_FAULT), exception(1)),
            Combined::Event(exception(1))
        );
    }

    #[test]
    fn a_fault_replaces_the_interrupt_it_interrupts() {
        let fault = exception(PAGE_FAULT);
        assert_eq!(
            combine(Event::Interrupt(0x30), fault),
            Combined::Event(fault)
        );
        assert_eq!(combine(Event::Nmi, fault), Combined::Event(fault));
    }
}
