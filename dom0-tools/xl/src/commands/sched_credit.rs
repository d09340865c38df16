//! `xl sched-credit`: weights and caps of domains, and parameters of pools, under the credit scheduler.

use serde_json::json;
use xen_abi::domctl::XEN_SCHEDULER_CREDIT;
use xen_abi::sysctl::{
    SysctlSchedulerOp, XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US, XEN_SYSCTL_CSCHED_TSLICE_MAX,
    XEN_SYSCTL_CSCHED_TSLICE_MIN,
};

use super::scheduling::{self, Scheduler};
use crate::context::Context;
use crate::failure::{Failure, OrFail};
use crate::parse::number;
use crate::select;

/// What to read or set.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Domain to read or change
    #[arg(short = 'd', long, value_name = "DOMAIN", allow_hyphen_values = true)]
    domain: Option<String>,
    /// Weight, 1 to 65535
    #[arg(short = 'w', long, value_name = "WEIGHT", allow_hyphen_values = true)]
    weight: Option<String>,
    /// Percent of a processor it may use, 0 for any
    #[arg(short = 'c', long, value_name = "CAP", allow_hyphen_values = true)]
    cap: Option<String>,
    /// Read or set a pool's parameters
    #[arg(short = 's', long)]
    schedparam: bool,
    /// Time slice in milliseconds
    #[arg(
        short = 't',
        long = "tslice_ms",
        value_name = "TSLICE",
        allow_hyphen_values = true
    )]
    tslice: Option<String>,
    /// Shortest time between two decisions, in microseconds
    #[arg(
        short = 'r',
        long = "ratelimit_us",
        value_name = "RLIMIT",
        allow_hyphen_values = true
    )]
    ratelimit: Option<String>,
    /// How long a virtual processor stays where it ran, in microseconds
    #[arg(
        short = 'm',
        long = "migration_delay_us",
        value_name = "DLY",
        allow_hyphen_values = true
    )]
    delay: Option<String>,
    /// Only this CPU pool
    #[arg(short = 'p', long, value_name = "CPUPOOL", allow_hyphen_values = true)]
    cpupool: Option<String>,
    #[command(flatten)]
    ignored: super::Ignored,
}

const CREDIT: Scheduler = Scheduler {
    id: XEN_SCHEDULER_CREDIT,
    describe: |parameters| {
        format!(
            "tslice={}ms ratelimit={}us migration-delay={}us",
            parameters.value0, parameters.value1, parameters.value2
        )
    },
    json: |parameters| {
        json!({
            "tslice_ms": parameters.value0,
            "ratelimit_us": parameters.value1,
            "migration_delay_us": parameters.value2,
        })
    },
    get_name: "libxl_sched_credit_params_get",
    set_name: "libxl_sched_credit_params_set",
};

impl Arguments {
    /// Reads or sets.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let sets_domain = self.weight.is_some() || self.cap.is_some();
        self.check(sets_domain)?;
        if self.schedparam {
            return self.pool(context);
        }
        let Some(domain) = &self.domain else {
            return scheduling::print_pools(context, &CREDIT, self.cpupool.as_deref());
        };
        let domain = select::domain(context, domain)?;
        if !sets_domain {
            return scheduling::print_domain(context, &CREDIT, domain);
        }
        let weight = self.weight.as_deref().map(number::lenient);
        let cap = self.cap.as_deref().map(number::lenient);
        scheduling::set_domain(context, &CREDIT, domain, weight, cap)
    }

    fn check(&self, sets_domain: bool) -> Result<(), Failure> {
        if (self.cpupool.is_some() || self.schedparam) && (self.domain.is_some() || sets_domain) {
            return Err(Failure::said(
                "Specifying a cpupool or schedparam is not allowed with domain options.",
            ));
        }
        if self.domain.is_none() && sets_domain {
            return Err(Failure::said("Must specify a domain."));
        }
        if !self.schedparam && self.sets_pool() {
            return Err(Failure::said(
                "Must specify schedparam to set schedule parameter values.",
            ));
        }
        Ok(())
    }

    fn sets_pool(&self) -> bool {
        self.tslice.is_some() || self.ratelimit.is_some() || self.delay.is_some()
    }

    fn pool(&self, context: &Context) -> anyhow::Result<()> {
        let pool = match &self.cpupool {
            Some(word) => select::pool(context, word)?.id,
            None => 0,
        };
        if !self.sets_pool() {
            scheduling::print_parameters(context, &CREDIT, pool);
            return Ok(());
        }
        let parameters = scheduling::parameters(context, &CREDIT, pool)?;
        let changed = self.changed(parameters)?;
        scheduling::set_parameters(context, &CREDIT, changed)
    }

    fn changed(&self, mut parameters: SysctlSchedulerOp) -> anyhow::Result<SysctlSchedulerOp> {
        let failed = "libxl_sched_credit_params_set failed.";
        if let Some(text) = &self.tslice {
            let (first, last) = (XEN_SYSCTL_CSCHED_TSLICE_MIN, XEN_SYSCTL_CSCHED_TSLICE_MAX);
            parameters.value0 =
                within(text, first, last, "time slice", "milliseconds").or_fail(failed)?;
        }
        if let Some(text) = &self.ratelimit {
            parameters.value1 = scheduling::check_rate_limit(&CREDIT, number::lenient(text))?;
        }
        if let Some(text) = &self.delay {
            let last = XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US;
            parameters.value2 =
                within(text, 0, last, "migration delay", "microseconds").or_fail(failed)?;
        }
        if parameters.value1 > parameters.value0.saturating_mul(1000) {
            return Err(anyhow::anyhow!(
                "the rate limit is longer than the time slice"
            ))
            .or_fail(failed);
        }
        Ok(parameters)
    }
}

fn within(text: &str, first: u32, last: u32, what: &str, unit: &str) -> anyhow::Result<u32> {
    let value = u32::try_from(number::lenient(text)).ok();
    let value = value.filter(|value| (first..=last).contains(value));
    value.ok_or_else(|| anyhow::anyhow!("a {what} is from {first} to {last} {unit}"))
}
