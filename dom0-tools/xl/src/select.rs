//! Finding domains and CPU pools by name or number. Names are in the store.

use xenctl::{CpuPool, DomId};
use xenstore::{Access, Tx, read_optional};

use crate::context::Context;
use crate::failure::Failure;

/// What libxl calls `ERROR_INVAL`, as scripts see it.
const INVALID: i32 = -6;

/// The first number that is no domain's (`DOMID_FIRST_RESERVED`).
const FIRST_RESERVED: u32 = 0x7ff0;

/// The name of a domain, if it has one.
pub fn name_of(store: &dyn Access, domain: DomId) -> anyhow::Result<Option<String>> {
    let path = format!("/local/domain/{domain}/name");
    Ok(read_optional(store, Tx::NONE, &path)?)
}

/// The name of a domain, for a table.
pub fn shown_name(context: &Context, domain: DomId) -> String {
    let store = context.store();
    let name = store.and_then(|store| name_of(store, domain));
    name.ok().flatten().unwrap_or_else(|| "(null)".into())
}

/// The domain called `name`.
pub fn by_name(context: &Context, name: &str) -> anyhow::Result<Option<DomId>> {
    let store = context.store()?;
    for info in context.xen()?.domains()? {
        let domain = DomId(info.domain);
        if name_of(store, domain)?.as_deref() == Some(name) {
            return Ok(Some(domain));
        }
    }
    Ok(None)
}

/// The domain that `word` names: a number (whether or not there is such a domain) or a name.
pub fn try_domain(context: &Context, word: &str) -> anyhow::Result<Option<DomId>> {
    match number(word) {
        Some(number) => Ok(number
            .filter(|&number| number < FIRST_RESERVED)
            .and_then(|number| u16::try_from(number).ok())
            .map(DomId)),
        None => by_name(context, word),
    }
}

/// [`try_domain`], or the failure xl ends with.
pub fn domain(context: &Context, word: &str) -> anyhow::Result<DomId> {
    try_domain(context, word)?.ok_or_else(|| invalid(word).into())
}

/// `word` is no domain.
pub fn invalid(word: &str) -> Failure {
    Failure::said(format!(
        "{word} is an invalid domain identifier (rc={INVALID})"
    ))
}

/// Whether `word` is a number, and which; a number too large for any use is `Some(None)`.
fn number(word: &str) -> Option<Option<u32>> {
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| word.parse().ok())
}

/// The name of a pool, if it has one.
pub fn pool_name(store: &dyn Access, pool: u32) -> anyhow::Result<Option<String>> {
    let path = format!("/local/pool/{pool}/name");
    Ok(read_optional(store, Tx::NONE, &path)?)
}

/// The name of a pool, for a table.
pub fn shown_pool(context: &Context, pool: u32) -> String {
    let store = context.store();
    let name = store.and_then(|store| pool_name(store, pool));
    name.ok().flatten().unwrap_or_else(|| "(null)".into())
}

/// The pool called `name`.
pub fn pool_by_name(context: &Context, name: &str) -> anyhow::Result<Option<CpuPool>> {
    let store = context.store()?;
    for pool in context.xen()?.cpu_pools()? {
        if pool_name(store, pool.id)?.as_deref() == Some(name) {
            return Ok(Some(pool));
        }
    }
    Ok(None)
}

/// The pool that `word` names, by number or name; a failure as xl's if there is none.
pub fn pool(context: &Context, word: &str) -> anyhow::Result<CpuPool> {
    let found = match number(word) {
        Some(number) => {
            let pools = context.xen()?.cpu_pools()?;
            pools.into_iter().find(|pool| Some(pool.id) == number)
        }
        None => pool_by_name(context, word)?,
    };
    found.ok_or_else(|| Failure::said(format!("unknown cpupool '{word}'")).into())
}

/// The name of a scheduler, `XEN_SCHEDULER_*`.
pub fn scheduler_name(scheduler: u32) -> &'static str {
    SCHEDULERS
        .iter()
        .find(|(_, number)| *number == scheduler)
        .map_or("unknown", |(name, _)| name)
}

/// The scheduler called `name`.
pub fn scheduler_number(name: &str) -> Option<u32> {
    let known = SCHEDULERS.iter().find(|(known, _)| *known == name);
    known.map(|&(_, number)| number)
}

const SCHEDULERS: [(&str, u32); 6] = [
    ("sedf", 4),
    ("credit", xen_abi::domctl::XEN_SCHEDULER_CREDIT),
    ("credit2", xen_abi::domctl::XEN_SCHEDULER_CREDIT2),
    ("arinc653", xen_abi::domctl::XEN_SCHEDULER_ARINC653),
    ("rtds", xen_abi::domctl::XEN_SCHEDULER_RTDS),
    ("null", xen_abi::domctl::XEN_SCHEDULER_NULL),
];
