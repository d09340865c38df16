//! `xl sched-credit2`: weights and caps of domains, and the rate limit of pools, under the credit2 scheduler.

use serde_json::json;
use xen_abi::domctl::XEN_SCHEDULER_CREDIT2;

use super::scheduling::{self, Scheduler};
use crate::context::Context;
use crate::failure::Failure;
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
    /// Shortest time between two decisions, in microseconds
    #[arg(
        short = 'r',
        long = "ratelimit_us",
        value_name = "RLIMIT",
        allow_hyphen_values = true
    )]
    ratelimit: Option<String>,
    /// Only this CPU pool
    #[arg(short = 'p', long, value_name = "CPUPOOL", allow_hyphen_values = true)]
    cpupool: Option<String>,
    #[command(flatten)]
    ignored: super::Ignored,
}

const CREDIT2: Scheduler = Scheduler {
    id: XEN_SCHEDULER_CREDIT2,
    describe: |parameters| format!("ratelimit={}us", parameters.value0),
    json: |parameters| json!({ "ratelimit_us": parameters.value0 }),
    get_name: "libxl_sched_credit2_params_get",
    set_name: "libxl_sched_credit2_params_set",
};

impl Arguments {
    /// Reads or sets.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let sets_domain = self.weight.is_some() || self.cap.is_some();
        if self.cpupool.is_some() && (self.domain.is_some() || sets_domain) {
            let message = "Specifying a cpupool is not allowed with other options.";
            return Err(Failure::said(message).into());
        }
        if self.domain.is_none() && sets_domain {
            return Err(Failure::said("Must specify a domain.").into());
        }
        if self.schedparam {
            return self.pool(context);
        }
        let Some(domain) = &self.domain else {
            return scheduling::print_pools(context, &CREDIT2, self.cpupool.as_deref());
        };
        let domain = select::domain(context, domain)?;
        if !sets_domain {
            return scheduling::print_domain(context, &CREDIT2, domain);
        }
        let weight = self.weight.as_deref().map(number::lenient);
        let cap = self.cap.as_deref().map(number::lenient);
        scheduling::set_domain(context, &CREDIT2, domain, weight, cap)
    }

    fn pool(&self, context: &Context) -> anyhow::Result<()> {
        let pool = match &self.cpupool {
            Some(word) => select::pool(context, word)?.id,
            None => 0,
        };
        let Some(limit) = &self.ratelimit else {
            scheduling::print_parameters(context, &CREDIT2, pool);
            return Ok(());
        };
        let limit = scheduling::check_rate_limit(&CREDIT2, number::lenient(limit))?;
        let parameters = xen_abi::sysctl::SysctlSchedulerOp {
            cpupool_id: pool,
            sched_id: CREDIT2.id,
            value0: limit,
            ..Default::default()
        };
        scheduling::set_parameters(context, &CREDIT2, parameters)
    }
}
