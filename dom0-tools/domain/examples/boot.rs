//! Makes a domain from a configuration file and does what the file says when it ends; `-p` leaves it paused and returns.
//!
//! `boot [-p] FILE` is a small `xl create` for trying this crate on a real dom0; it tells how long each part took.

use std::error::Error;
use std::time::Instant;

use domain::build::Files;
use domain::devices::LinuxHost;
use domain::lifecycle::{Directories, Toolstack};
use domcfg::{Context, DomainConfig};
use xenctl::Hypervisor;
use xenctl::real::Xen;
use xenstore::client::Client;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (paused, file) = match arguments.as_slice() {
        [file] => (false, file),
        [option, file] if option == "-p" => (true, file),
        _ => return Err("usage: boot [-p] FILE".into()),
    };
    let xen = Xen::open()?;
    let store = Client::connect()?;
    let directories = Directories::default();
    let toolstack = Toolstack {
        hypervisor: &xen,
        store: &store,
        host: &LinuxHost::new(),
        directories: &directories,
    };
    let cpus = xen.physinfo()?.nr_cpus;
    let reparse = |text: &str| parse(file, text.as_bytes(), cpus);
    let config = parse(file, &std::fs::read(file)?, cpus)?;

    let start = Instant::now();
    let request = toolstack.request(&config)?;
    println!("request made after {:?}", start.elapsed());
    if std::env::var_os("BOOT_TIMES").is_some() {
        let start = Instant::now();
        Files::read(&request.plan, None)?.unpack()?;
        println!("kernel unpacked in {:?}", start.elapsed());
    }
    let start = Instant::now();
    let domain = toolstack.create(&request)?;
    println!("domain {domain} created in {:?}", start.elapsed());
    if paused {
        return Ok(());
    }
    toolstack.unpause(domain)?;
    let followed = toolstack.follow(
        domain,
        request.config,
        &reparse,
        &|_| Ok(Box::new(())),
        &|line| println!("{line}"),
    )?;
    println!("{followed:?}");
    Ok(())
}

fn parse(name: &str, text: &[u8], cpus: u32) -> Result<DomainConfig, String> {
    let context = Context::with_cpus(cpus);
    let parsed = domcfg::parse(name, text, &[] as &[&str], &context);
    let parsed = parsed.map_err(|problems| problems.to_string())?;
    for warning in parsed.warnings {
        eprintln!("{warning}");
    }
    Ok(parsed.config)
}
