# From the loader to Rust. Multiboot2 specification, "OS image format" and "I386 machine state": 32-bit protected mode, paging off,
# eax = magic, ebx = boot information. The same tables bring up the other CPUs.

.section .multiboot, "a"
.align 8
multiboot_header:
    .long 0xe85250d6, 0, multiboot_header_end - multiboot_header, -(0xe85250d6 + multiboot_header_end - multiboot_header)
    .short 1, 0                 # information request: basic memory information, memory map
    .long 16, 4, 6
    .short 6, 0                 # modules on page boundaries
    .long 8
    .short 4, 1                 # console: text is fine
    .long 12, 2
    .align 8
    .short 0, 0
    .long 8
multiboot_header_end:

.section .text.entry, "ax"
.code32
.global multiboot_entry
multiboot_entry:
    cli
    cld
    mov esp, offset boot_stack_top
    mov edi, eax
    mov esi, ebx
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb no_long_mode
    mov eax, 0x80000001
    cpuid
    bt edx, 29
    jnc no_long_mode

    # Identity map of 4 GiB in 2 MiB pages, seen again at the direct map's base.
    mov eax, offset boot_pdpt + 3
    mov dword ptr [boot_pml4], eax
    mov dword ptr [boot_pml4 + 256 * 8], eax
    mov eax, offset boot_pd + 3
    mov ecx, 0
2:  mov dword ptr [boot_pdpt + ecx * 8], eax
    add eax, 4096
    inc ecx
    cmp ecx, 4
    jb 2b
    mov eax, 0x83
    mov ecx, 0
3:  mov dword ptr [boot_pd + ecx * 8], eax
    add eax, 0x200000
    inc ecx
    cmp ecx, 2048
    jb 3b

    mov eax, offset boot_pml4
    mov cr3, eax
    mov eax, cr4
    or eax, 0x20                # PAE
    mov cr4, eax
    mov ecx, 0xc0000080         # EFER: LME, NXE
    rdmsr
    or eax, 0x900
    wrmsr
    mov eax, cr0
    and eax, 0x9ffffffb         # caches on, no x87 emulation
    or eax, 0x80010003          # paging, write protection, monitor coprocessor, protection
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    push 8
    mov eax, offset long_mode
    push eax
    retf

no_long_mode:
    mov esi, offset no_long_mode_text
4:  lodsb
    test al, al
    jz 6f
    mov ah, al
    mov dx, 0x3fd
5:  in al, dx
    test al, 0x20
    jz 5b
    mov al, ah
    mov dx, 0x3f8
    out dx, al
    jmp 4b
6:  hlt
    jmp 6b

.code64
long_mode:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov rsp, offset boot_stack_top - 16
    xor ebp, ebp
    call image_start_of_day
    ud2

# Other CPUs start here in real mode, copied to a page below 1 MiB; cs is that page. They go to long mode in one step.
.global ap_trampoline, ap_trampoline_end
.code16
ap_trampoline:
    cli
    cld
    mov ax, cs
    mov ds, ax
    mov eax, 0x20
    mov cr4, eax
    mov eax, dword ptr [AP_CR3]
    mov cr3, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x900
    wrmsr
    lgdt [AP_GDT_POINTER]
    mov eax, 0x80010011
    mov cr0, eax
    .byte 0x66, 0xff, 0x2e      # jmp far [disp16], 32-bit offset
    .short AP_TARGET
.align 8
ap_gdt_pointer:
    .short 23
    .long boot_gdt
ap_target:
    .long ap_long_mode
    .short 8
ap_cr3:
    .long boot_pml4
ap_trampoline_end:
.set AP_CR3, ap_cr3 - ap_trampoline
.set AP_GDT_POINTER, ap_gdt_pointer - ap_trampoline
.set AP_TARGET, ap_target - ap_trampoline

.code64
ap_long_mode:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
7:  xor esp, esp                # take the stack that the boot CPU left; only one CPU starts at a time
    xchg rsp, qword ptr [ap_stack]
    test rsp, rsp
    jnz 8f
    pause
    jmp 7b
8:  xor ebp, ebp
    call ap_start_of_day
    ud2

.section .rodata.entry, "a"
.align 8
.global boot_gdt
boot_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdt_pointer:
    .short 23
    .long boot_gdt
no_long_mode_text:
    .asciz "xen-rs: this CPU has no 64-bit mode\r\n"

.section .data.entry, "aw"
.align 8
.global ap_stack
ap_stack:
    .quad 0

.section .bss.entry, "aw", @nobits
.align 4096
.global boot_pml4
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd: .skip 16384
.global boot_stack_top
.align 32768
    .skip 32768
boot_stack_top:
