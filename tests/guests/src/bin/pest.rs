//! A guest that troubles the daemons in dom0 by the rings it shares with them. Words of the command line:
//!
//! - `store=garbage`: random bytes; `jump`: random indices; `huge`: messages longer than allowed; `half`: the beginning of a message, and
//!   then events without end; `deaf`: requests whose answers it never takes; `endless`: valid requests as fast as they are served;
//!   `nodes`, `watches`, `transactions`: as many of them as it can get, and then on. `polite`: reads a node now and then, as the guest
//!   beside them that must not suffer.
//! - `console=shout`: lines as fast as they are taken; `jump`: random indices; `kick`: events without end; `echo`: gives back what it gets.
//! - `ms=N`: for so long; then it says what it did and powers off. `seed=N`: for other random numbers.
#![no_std]
#![no_main]

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};

use xen_abi::hvm::hvm_op::{HVMOP_GET_TIME, HvmGetTime};
use xen_abi::hvm::params::{HVM_PARAM_STORE_EVTCHN, HVM_PARAM_STORE_PFN};
use xen_abi::io::xs_wire::{
    XENSTORE_CONNECTED, XENSTORE_RECONNECT, XS_DIRECTORY, XS_ERROR, XS_READ, XS_TRANSACTION_END,
    XS_TRANSACTION_START, XS_WATCH, XS_WRITE, XenstoreDomainInterface, XsdSockmsg,
};
use xen_abi::sched::{SCHEDOP_POLL, SHUTDOWN_POWEROFF, SchedPoll};
use xen_abi::xen::{HYPERVISOR_HVM_OP, HYPERVISOR_SCHED_OP};
use zerocopy::{FromZeros, IntoBytes};

use guests::random::Random;
use guests::ring::{CONSOLE_INPUT, CONSOLE_OUTPUT, Ring, SharedPage};
use guests::{Start, boot, cpu, hypercall, println};

guests::entry!(main);

const NS_PER_MS: u64 = 1_000_000;
/// Where CPUID tells the frequency of the TSC, as a guest without other interfaces sees it.
const XEN_TIME_LEAF: u32 = 0x4000_0003;
/// How long the daemon may take for something before it counts as refused.
const PATIENCE_NS: u64 = 200 * NS_PER_MS;

const REQUESTS: Ring = Ring {
    bytes: offset_of!(XenstoreDomainInterface, req) as u64,
    size: 1024,
    cons: offset_of!(XenstoreDomainInterface, req_cons) as u64,
    prod: offset_of!(XenstoreDomainInterface, req_prod) as u64,
};
const ANSWERS: Ring = Ring {
    bytes: offset_of!(XenstoreDomainInterface, rsp) as u64,
    size: 1024,
    cons: offset_of!(XenstoreDomainInterface, rsp_cons) as u64,
    prod: offset_of!(XenstoreDomainInterface, rsp_prod) as u64,
};
const CONNECTION: u64 = offset_of!(XenstoreDomainInterface, connection) as u64;
const ERROR: u64 = offset_of!(XenstoreDomainInterface, error) as u64;
const CONSOLE_INDICES: [u64; 4] = [
    CONSOLE_INPUT.cons,
    CONSOLE_INPUT.prod,
    CONSOLE_OUTPUT.cons,
    CONSOLE_OUTPUT.prod,
];
/// Bytes of a value that is large, but fits the ring with its path.
const LARGE: usize = 700;

fn main(start: Start) -> ! {
    let end = now() + start.number("ms").unwrap_or(1000) * NS_PER_MS;
    let random = Random::new(start.number("seed").unwrap_or(1));
    if let Some(how) = start.word("store") {
        let page = SharedPage::of_params(HVM_PARAM_STORE_PFN, HVM_PARAM_STORE_EVTCHN);
        let mut pest = Pest::new(page, random);
        while now() < end {
            pest.trouble_store(how);
        }
        println!("PEST store={how} {}", pest.report());
    } else if let Some(how) = start.word("console") {
        let page = SharedPage::of_console();
        let mut pest = Pest::new(page, random);
        while now() < end {
            pest.trouble_console(how);
        }
        println!("PEST console={how} {}", pest.report());
    }
    hypercall::shutdown(SHUTDOWN_POWEROFF)
}

/// Nanoseconds by the TSC, which needs no hypercall.
fn now() -> u64 {
    static KHZ: AtomicU32 = AtomicU32::new(0);
    let khz = match KHZ.load(Ordering::Relaxed) {
        0 => {
            let [_, _, khz, _] = cpu::cpuid(XEN_TIME_LEAF, 0);
            KHZ.store(khz.max(1), Ordering::Relaxed);
            khz.max(1)
        }
        known => known,
    };
    (u128::from(cpu::tsc()) * u128::from(NS_PER_MS) / u128::from(khz)) as u64
}

/// Nanoseconds of the hypervisor's clock.
fn hypervisor_time() -> u64 {
    let mut time = HvmGetTime::default();
    let _ = hypercall::with(HYPERVISOR_HVM_OP, HVMOP_GET_TIME, &mut time);
    time.now
}

struct Pest {
    page: SharedPage,
    random: Random,
    /// Things done.
    made: u64,
    answers: u64,
    errors: u64,
    /// Waits that were given up.
    refused: u64,
    reconnects: u64,
    /// The longest that a polite request took.
    longest_ns: u64,
}

impl Pest {
    fn new(page: Option<SharedPage>, random: Random) -> Self {
        let Some(page) = page else {
            boot::fatal(format_args!("no page is shared with the daemon"));
        };
        Self {
            page,
            random,
            made: 0,
            answers: 0,
            errors: 0,
            refused: 0,
            reconnects: 0,
            longest_ns: 0,
        }
    }

    fn report(&self) -> Report<'_> {
        Report(self)
    }

    /// One step of what the word says.
    fn trouble_store(&mut self, how: &str) {
        self.reconnect_if_failed();
        match how {
            "garbage" => self.garbage(),
            "jump" => self.jump(&[
                REQUESTS.cons,
                REQUESTS.prod,
                ANSWERS.cons,
                ANSWERS.prod,
                CONNECTION,
            ]),
            "huge" => self.huge(),
            "half" => self.half(),
            "deaf" => self.deaf(),
            "endless" => self.endless(),
            "nodes" => self.nodes(),
            "watches" => self.watches(),
            "transactions" => self.transactions(),
            "polite" => self.polite(),
            other => boot::fatal(format_args!("store={other} means nothing")),
        }
    }

    fn trouble_console(&mut self, how: &str) {
        match how {
            "shout" => self.shout(),
            "jump" => self.jump(&CONSOLE_INDICES),
            "kick" => self.kicks(),
            "echo" => self.echo(),
            other => boot::fatal(format_args!("console={other} means nothing")),
        }
    }

    /// A daemon that gave up on this ring is asked to begin anew.
    fn reconnect_if_failed(&mut self) {
        let failed = self.page.index(ERROR) != 0;
        if !failed && self.page.index(CONNECTION) == XENSTORE_CONNECTED {
            return;
        }
        self.page.set_index(CONNECTION, XENSTORE_RECONNECT);
        self.page.kick();
        let page = self.page;
        if self.wait(|| page.index(CONNECTION) == XENSTORE_CONNECTED) {
            self.reconnects += 1;
        }
    }

    /// Waits for the daemon, not for ever. Whether it was worth while.
    fn wait(&mut self, is_so: impl Fn() -> bool) -> bool {
        let end = now() + PATIENCE_NS;
        while !is_so() {
            if now() >= end {
                self.refused += 1;
                return false;
            }
            spin();
        }
        true
    }

    fn garbage(&mut self) {
        let page = self.page;
        let room = page.room(REQUESTS);
        let random = &mut self.random;
        page.put(REQUESTS, (0..room).map(|_| random.next() as u8));
        page.kick();
        page.drop_all(ANSWERS);
        self.made += 1;
        spin();
    }

    fn jump(&mut self, indices: &[u64]) {
        let index = self.random.pick(indices);
        let by = match self.random.below(3) {
            0 => self.random.below(5000) as u32,
            1 => (self.random.below(5000) as u32).wrapping_neg(),
            _ => self.random.next() as u32,
        };
        let value = self.page.index(index).wrapping_add(by);
        self.page.set_index(index, value);
        self.page.kick();
        self.made += 1;
        spin();
    }

    fn huge(&mut self) {
        let lengths = [4097, 65536, 0x7fff_ffff, u32::MAX, u32::MAX - 15];
        let length = self.random.pick(&lengths);
        self.send_header(XS_WRITE, 0, length);
    }

    /// The first time a message of which nearly all is missing; then there is no room for another, or it is not more of that one.
    fn half(&mut self) {
        if self.made == 0 {
            self.send_header(XS_WRITE, 0, 4000);
        }
        self.kicks();
    }

    fn kicks(&mut self) {
        for _ in 0..64 {
            self.page.kick();
        }
        self.made += 64;
    }

    fn deaf(&mut self) {
        self.send(XS_DIRECTORY, 0, &[b".\0"]);
    }

    fn endless(&mut self) {
        self.send(XS_READ, 0, &[b"domid\0"]);
        self.take_answers();
    }

    fn nodes(&mut self) {
        let name = hex(self.made);
        self.send(XS_WRITE, 0, &[b"data/", &name, b"\0", &[b'x'; LARGE]]);
        self.take_answers();
    }

    /// Watches, and now and then a node that sets off all of them.
    fn watches(&mut self) {
        let name = hex(self.made);
        if self.made % 16 == 15 {
            self.send(XS_WRITE, 0, &[b"data/watched\0", &name]);
        } else {
            self.send(XS_WATCH, 0, &[b"data\0", &name, b"\0"]);
        }
        self.take_answers();
    }

    /// Transactions that write and mostly do not end.
    fn transactions(&mut self) {
        self.take_answers();
        self.send(XS_TRANSACTION_START, 0, &[b"\0"]);
        let page = self.page;
        if !self.wait(|| page.filled(ANSWERS) >= 16) {
            return;
        }
        let Some(id) = self.take_answers() else {
            return;
        };
        let name = hex(self.made % 8);
        self.send(XS_WRITE, id, &[b"data/", &name, b"\0", &[b'x'; LARGE]]);
        if self.random.once_in(4) {
            self.send(XS_TRANSACTION_END, id, &[b"T\0"]);
        }
    }

    /// One request, and then a rest.
    fn polite(&mut self) {
        let begun = now();
        let before = self.answers;
        self.send(XS_READ, 0, &[b"domid\0"]);
        let page = self.page;
        if self.wait(|| page.filled(ANSWERS) >= 16) {
            self.take_answers();
        }
        if self.answers == before + 1 {
            self.longest_ns = self.longest_ns.max(now() - begun);
        }
        sleep(5 * NS_PER_MS);
    }

    fn echo(&mut self) {
        let mut text = [0; 64];
        let count = self.page.take(CONSOLE_INPUT, &mut text);
        let page = self.page;
        if count > 0 && self.wait(|| page.room(CONSOLE_OUTPUT) as usize >= count) {
            page.put(CONSOLE_OUTPUT, text[..count].iter().copied());
            page.kick();
            self.made += 1;
        }
        sleep(5 * NS_PER_MS);
    }

    fn shout(&mut self) {
        let page = self.page;
        if !self.wait(|| page.room(CONSOLE_OUTPUT) >= 64) {
            return;
        }
        let line = b"PEST shouts and shouts and shouts and shouts and shouts and nl\r\n";
        page.put(CONSOLE_OUTPUT, line.iter().copied());
        page.kick();
        self.made += 1;
    }

    fn send_header(&mut self, kind: u32, tx_id: u32, len: u32) -> bool {
        let page = self.page;
        if !self.wait(|| page.room(REQUESTS) >= 16) {
            return false;
        }
        let header = XsdSockmsg {
            kind,
            req_id: self.made as u32,
            tx_id,
            len,
        };
        page.put(REQUESTS, header.as_bytes().iter().copied());
        page.kick();
        self.made += 1;
        true
    }

    /// A request, if the daemon takes it.
    fn send(&mut self, kind: u32, tx_id: u32, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let page = self.page;
        if !self.wait(|| page.room(REQUESTS) as usize >= 16 + length) {
            return;
        }
        if self.send_header(kind, tx_id, length as u32) {
            page.put(REQUESTS, parts.iter().flat_map(|part| part.iter().copied()));
            page.kick();
        }
    }

    /// Takes whole answers as far as there are, with the number in the last that begins a transaction.
    fn take_answers(&mut self) -> Option<u32> {
        let mut transaction = None;
        while self.page.filled(ANSWERS) >= 16 {
            let mut header = XsdSockmsg::new_zeroed();
            self.page.take(ANSWERS, header.as_mut_bytes());
            let mut text = [0; 512];
            let length = (header.len as usize).min(text.len());
            let page = self.page;
            if !self.wait(|| page.filled(ANSWERS) as usize >= length) {
                return None;
            }
            page.take(ANSWERS, &mut text[..length]);
            page.kick();
            self.answers += 1;
            self.errors += u64::from(header.kind == XS_ERROR);
            if header.kind == XS_TRANSACTION_START {
                transaction = number(&text[..length]);
            }
        }
        transaction
    }
}

struct Report<'a>(&'a Pest);

impl core::fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Pest {
            made,
            answers,
            errors,
            refused,
            reconnects,
            longest_ns,
            ..
        } = self.0;
        let longest_ms = longest_ns / NS_PER_MS;
        write!(
            out,
            "made={made} answers={answers} errors={errors} refused={refused} reconnects={reconnects} longest-ms={longest_ms}"
        )
    }
}

/// Nothing for so long.
fn sleep(ns: u64) {
    let mut poll = SchedPoll {
        timeout: hypervisor_time() + ns,
        ..SchedPoll::default()
    };
    let _ = hypercall::with(HYPERVISOR_SCHED_OP, SCHEDOP_POLL, &mut poll);
}

/// A while without leaving the guest, in which the daemon may do something if it gets the processor.
fn spin() {
    for turn in 0..2000 {
        core::hint::black_box(turn);
    }
}

fn hex(number: u64) -> [u8; 8] {
    let digit = |place: usize| b"0123456789abcdef"[(number >> (28 - 4 * place)) as usize & 15];
    core::array::from_fn(digit)
}

fn number(text: &[u8]) -> Option<u32> {
    let digits = text.split(|&byte| byte == 0).next()?;
    core::str::from_utf8(digits).ok()?.parse().ok()
}
