//! Feeds the readers of configurations with mutations of good ones, for as long as asked:
//! `cargo run --release -p domcfg --example fuzz -- SECONDS [SEED]`. A panic ends it; the input is then in the file it names.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the mutations start from.
const SEEDS: [&str; 9] = [
    include_str!("../tests/stock/minimal.cfg"),
    include_str!("../tests/stock/many.cfg"),
    include_str!("../tests/stock/hvm.cfg"),
    include_str!("../tests/stock/cpus.cfg"),
    include_str!("../tests/stock/escapes.cfg"),
    include_str!("../tests/stock/real.cfg"),
    include_str!("../tests/stock/many.json"),
    include_str!("../tests/stock/hvm.json"),
    include_str!("../tests/stock/created-userdata.json"),
];

/// Pieces that mean something to some reader.
const PIECES: [&str; 40] = [
    "=",
    "+=",
    "[",
    "]",
    ",",
    ";",
    "\n",
    "#",
    "\"",
    "'",
    "\\",
    "\\x41",
    "\\777",
    "0x",
    "-1",
    "4294967295",
    "18446744073709551615",
    "all",
    "^",
    "node:",
    "0-4095",
    "target=",
    "phy:",
    "cdrom",
    "vdev=xvda",
    "mac=",
    "rate=1Mb/s@1s",
    "host,",
    "family=",
    "xxxx",
    "k",
    "{",
    "}",
    "null",
    "True",
    "type=\"hvm\"\n",
    "type.pvh",
    "\0",
    "é",
    "\r\n",
];

/// What is being read, for the case that reading it panics.
static INPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn main() -> ExitCode {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|argument| argument.parse::<u64>());
    let (Some(Ok(seconds)), Some(Ok(seed))) = (arguments.next(), arguments.next().or(Some(Ok(1))))
    else {
        eprintln!("usage: fuzz SECONDS [SEED]");
        return ExitCode::from(2);
    };
    let file = std::env::temp_dir().join(format!("domcfg-fuzz-{seed}"));
    keep_input_of_a_panic(file);
    let (inputs, slowest) = run(Duration::from_secs(seconds), Random(seed | 1));
    println!(
        "{inputs} inputs, slowest {} ms, no panic",
        slowest.as_millis()
    );
    ExitCode::SUCCESS
}

/// Release builds abort on a panic, but call its hook first.
fn keep_input_of_a_panic(file: PathBuf) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        let input = INPUT.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!(
            "the input is in {}: {:?}",
            file.display(),
            std::fs::write(&file, &*input)
        );
    }));
}

/// How many inputs were tried, and how long the slowest took.
fn run(time: Duration, mut random: Random) -> (u64, Duration) {
    let start = Instant::now();
    let mut inputs = 0;
    let mut slowest = Duration::ZERO;
    let mut pool: Vec<Vec<u8>> = SEEDS.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    while start.elapsed() < time {
        let input = mutate(&pool, &mut random);
        let before = Instant::now();
        INPUT
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&input);
        domcfg::exercise(&input);
        slowest = slowest.max(before.elapsed());
        inputs += 1;
        // Keep some, so that changes pile up, and never grow without bound.
        if random.below(64) == 0 && input.len() < 20_000 {
            let place = SEEDS.len() + random.below(256);
            if place < pool.len() {
                pool[place] = input;
            } else {
                pool.push(input);
            }
        }
    }
    (inputs, slowest)
}

fn mutate(pool: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = pool[random.below(pool.len())].clone();
    for _ in 0..=random.below(6) {
        let start = random.below(input.len() + 1);
        let end = (start + random.below(12)).min(input.len());
        match random.below(5) {
            0 => drop(input.splice(start..end, [random.next() as u8])),
            1 => drop(input.splice(start..end, PIECES[random.below(PIECES.len())].bytes())),
            2 => drop(input.drain(start..end)),
            3 => {
                let other = &pool[random.below(pool.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(200)).min(other.len());
                input.splice(start..end, other[from..to].iter().copied());
            }
            _ => {
                let part = input[start..end].repeat(random.below(50));
                input.splice(start..start, part);
            }
        }
    }
    input
}

/// xorshift64*: enough for mutations, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}
