//! Prints what a write costs in a store of growing size, in microseconds: of a value, of a new node in a directory that holds half of all nodes,
//! and of a new node there in a transaction. `cargo run --release -p xenstore --example cost`

use std::time::{Duration, Instant};

use xenstore::local::LocalStore;
use xenstore::{Access, Result, Tx, transaction};

const REPEATS: u32 = 2_000;

fn main() -> Result<()> {
    println!(
        "{:>8} {:>8} {:>10} {:>10} {:>12}",
        "nodes", "watches", "value", "new node", "transaction"
    );
    for (nodes, watches) in [(100, 10), (1_000, 100), (10_000, 1_000), (100_000, 10_000)] {
        let store = filled(nodes, watches)?;
        let value = timed(|i| store.write(Tx::NONE, "/dir/n1", i.to_string().as_bytes()))?;
        let node = timed(|i| store.write(Tx::NONE, &format!("/dir/new{i}"), b""))?;
        let tx = timed(|i| transaction(&store, |tx| store.write(tx, &format!("/dir/tx{i}"), b"")))?;
        let [value, node, tx] = [value, node, tx].map(|time| time.as_secs_f64() * 1e6);
        println!("{nodes:>8} {watches:>8} {value:>10.2} {node:>10.2} {tx:>12.2}");
    }
    Ok(())
}

fn filled(nodes: usize, watches: usize) -> Result<LocalStore> {
    let store = LocalStore::default();
    for i in 0..nodes / 2 {
        store.write(Tx::NONE, &format!("/dir/n{i}"), b"v")?;
        store.write(Tx::NONE, &format!("/tree/{}/{i}", i % 100), b"v")?;
    }
    for i in 0..watches {
        store.watch(&format!("/tree/{i}"), "t")?;
    }
    Ok(store)
}

fn timed(mut write: impl FnMut(u32) -> Result<()>) -> Result<Duration> {
    let begun = Instant::now();
    for i in 0..REPEATS {
        write(i)?;
    }
    Ok(begun.elapsed() / REPEATS)
}
