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
    for way in 0..cpu::TOUCHES {
        let result = cpu::touch(way, guests::window::show(3, 0x3_1234_5678), 0x55);
        println!("HELLO touch {way} of nothing: {result:?}");
    }
    for way in 0..cpu::TOUCHES {
        let at = guests::window::show(3, 0x3_1234_5ffc);
        let _ = guests::window::show(4, 1 << 50);
        let result = cpu::touch(way, at, 0x55);
        println!("HELLO touch {way} across the border of nothing: {result:?}");
    }
    for way in 0..cpu::TOUCHES {
        let at = guests::window::show(3, (1 << 50) + 0xffc);
        let _ = guests::window::show(4, 0x3_1234_5000);
        let result = cpu::touch(way, at, 0x55);
        println!("HELLO touch {way} across the border to nothing: {result:?}");
    }
    for which in 0..cpu::FORBIDDEN {
        println!(
            "HELLO forbidden {which}: {:?}",
            cpu::forbidden(which, 0x100_0000)
        );
    }
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
