//! `xl trigger` and its older form `xl button-press`. A refusal by the hypervisor is reported, but xl exits with 0.

use serde_json::json;
use xen_abi::domctl as abi;
use xenctl::DomId;

use super::Ignored;
use crate::context::Context;
use crate::failure::Failure;
use crate::parse::number;
use crate::{complain, select};

/// What to send.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    /// One of these.
    #[arg(value_name = "nmi|reset|init|power|sleep|s3resume")]
    trigger: String,
    /// To which virtual processor; 0 without.
    #[arg(value_name = "VCPU", allow_negative_numbers = true)]
    vcpu: Option<String>,
    #[command(flatten)]
    ignored: Ignored,
}

/// Which button to press.
#[derive(clap::Args, Debug)]
pub struct Button {
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    /// One of these.
    #[arg(value_name = "power|sleep")]
    button: String,
    #[command(flatten)]
    ignored: Ignored,
}

/// What can be sent.
enum Trigger {
    Domctl(u32),
    /// Wakes a domain with an emulated machine.
    WakeUp,
}

fn parse(name: &str) -> Option<Trigger> {
    Some(match name {
        "nmi" => Trigger::Domctl(abi::XEN_DOMCTL_SENDTRIGGER_NMI),
        "reset" => Trigger::Domctl(abi::XEN_DOMCTL_SENDTRIGGER_RESET),
        "init" => Trigger::Domctl(abi::XEN_DOMCTL_SENDTRIGGER_INIT),
        "power" => Trigger::Domctl(abi::XEN_DOMCTL_SENDTRIGGER_POWER),
        "sleep" => Trigger::Domctl(abi::XEN_DOMCTL_SENDTRIGGER_SLEEP),
        "s3resume" => Trigger::WakeUp,
        _ => return None,
    })
}

impl Arguments {
    /// Sends it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domain = select::domain(context, &self.domain)?;
        let trigger = parse(&self.trigger)
            .ok_or_else(|| Failure::said(format!("Invalid trigger \"{}\"", self.trigger)))?;
        let vcpu = self
            .vcpu
            .as_deref()
            .map_or(Some(0), |text| Some(number::leading(text)?.0));
        if vcpu.is_none() {
            complain!(context, "Invalid vcpuid, using default vcpuid=0.\n\n");
        }
        let vcpu = u32::try_from(vcpu.unwrap_or(0)).unwrap_or(u32::MAX);
        send(context, domain, &trigger, vcpu, &self.trigger)
    }
}

impl Button {
    /// Presses it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        complain!(
            context,
            "WARNING: \"button-press\" is deprecated. Please use \"trigger\"\n"
        );
        let domain = select::domain(context, &self.domain)?;
        let button =
            parse(&self.button).filter(|_| matches!(self.button.as_str(), "power" | "sleep"));
        let button = button.ok_or_else(|| {
            Failure::said(format!("{} is an invalid button identifier", self.button))
        })?;
        send(context, domain, &button, 0, &self.button)
    }
}

fn send(
    context: &Context,
    domain: DomId,
    trigger: &Trigger,
    vcpu: u32,
    name: &str,
) -> anyhow::Result<()> {
    let Trigger::Domctl(number) = trigger else {
        complain!(
            context,
            "xl: trigger '{name}' of domain {domain} failed: it has no emulated machine\n"
        );
        return Ok(());
    };
    match context.xen()?.send_trigger(domain, *number, vcpu) {
        Ok(()) => context.done(&json!({ "domid": domain.0, "trigger": name })),
        Err(error) => complain!(
            context,
            "xl: trigger '{name}' of domain {domain} failed: {error}\n"
        ),
    }
    Ok(())
}
