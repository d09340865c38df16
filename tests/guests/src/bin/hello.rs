//! Says who started it and powers off: the smallest kernel, to see that one starts at all.
#![no_std]
#![no_main]

use guests::{Start, cpu, hypercall, println, second_vcpu};

guests::entry!(main);

fn main(start: Start) -> ! {
    println!(
        "HELLO dom0 {} words {:?}",
        start.is_dom0(),
        start.command_line()
    );
    println!("HELLO rdmsr of nothing: {:?}", cpu::read_msr(0x1234_5678));
    if start.has_word("two") {
        println!(
            "HELLO second vCPU started: {}",
            second_vcpu::start(2, second)
        );
    }
    hypercall::shutdown(xen_abi::sched::SHUTDOWN_POWEROFF)
}

fn second() -> ! {
    loop {
        core::hint::spin_loop();
    }
}
