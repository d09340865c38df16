# From the PVH entry (public/arch-x86/hvm/start_info.h: 32-bit protected mode, paging off, ebx = start information) to Rust in long mode,
# the same for a second vCPU from its start-up IPI, and the entries of the interrupt table.

.section .note.Xen, "a", @note
.align 4
    .long 4, 4, 18              # PHYS32_ENTRY
    .asciz "Xen"
    .long pvh_entry

.section .text.entry, "ax"
.code32
.global pvh_entry
pvh_entry:
    cli
    cld
    mov esp, offset boot_stack_top
    mov dword ptr [start_info_address], ebx

    # Identity map of 4 GiB in 2 MiB pages; one more table of small pages at 4 GiB.
    mov dword ptr [boot_pml4], offset boot_pdpt + 3
    mov eax, offset boot_pd + 3
    xor ecx, ecx
2:  mov dword ptr [boot_pdpt + ecx * 8], eax
    add eax, 4096
    inc ecx
    cmp ecx, 4
    jb 2b
    mov dword ptr [boot_pdpt + 4 * 8], offset window_pd + 3
    mov dword ptr [window_pd], offset window_pt + 3
    mov eax, 0x83
    xor ecx, ecx
3:  mov dword ptr [boot_pd + ecx * 8], eax
    add eax, 0x200000
    inc ecx
    cmp ecx, 2048
    jb 3b

    mov eax, 0x20               # PAE
    mov cr4, eax
    mov eax, offset boot_pml4
    mov cr3, eax
    mov ecx, 0xc0000080         # EFER: LME
    rdmsr
    or eax, 0x100
    wrmsr
    mov eax, 0x80000011
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    push 8
    mov eax, offset long_mode
    push eax
    retf

.code64
long_mode:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov rsp, offset boot_stack_top
    xor ebp, ebp
    mov edi, dword ptr [start_info_address]
    call guest_start
    ud2

# The second vCPU starts here in real mode, copied to a page below 1 MiB; cs is that page.
.global trampoline, trampoline_end
.code16
trampoline:
    cli
    cld
    mov ax, cs
    mov ds, ax
    mov eax, 0x20
    mov cr4, eax
    mov eax, dword ptr [T_CR3]
    mov cr3, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x100
    wrmsr
    .byte 0x66                  # all 32 bits of the base
    lgdt [T_GDT_POINTER]
    mov eax, 0x80000011
    mov cr0, eax
    .byte 0x66, 0xff, 0x2e      # jmp far [disp16], 32-bit offset
    .short T_TARGET
.align 8
t_gdt_pointer:
    .short 23
    .long boot_gdt
t_target:
    .long second_long_mode
    .short 8
t_cr3:
    .long boot_pml4
trampoline_end:
.set T_CR3, t_cr3 - trampoline
.set T_GDT_POINTER, t_gdt_pointer - trampoline
.set T_TARGET, t_target - trampoline

.code64
second_long_mode:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov rsp, offset second_stack_top
    xor ebp, ebp
    call second_start
    ud2

# narrow_call(registers: *mut [u32; 7]): a hypercall as 32-bit code makes it, with eax, ebx, ecx, edx, esi, edi and ebp from there and eax
# back to there. No stack is used while the code is narrow: the stack segment is a null one.
.global narrow_call
narrow_call:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push rdi
    mov eax, dword ptr [rdi]
    mov ebx, dword ptr [rdi + 4]
    mov ecx, dword ptr [rdi + 8]
    mov edx, dword ptr [rdi + 12]
    mov esi, dword ptr [rdi + 16]
    mov ebp, dword ptr [rdi + 24]
    mov edi, dword ptr [rdi + 20]
    .byte 0xff, 0x2c, 0x25      # jmp far [narrow_targets]
    .long narrow_targets
.code32
narrow_code:
.global narrow_instruction
narrow_instruction:
    vmmcall
    .byte 0xea                  # jmp far 8:wide_again
    .long wide_again
    .short 8
.code64
wide_again:
    pop rdi
    mov dword ptr [rdi], eax
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

# run_fragment(code, value, counter, stack, back): runs code until an exception, whose handler goes on at `fragment_over`. Stores that address
# and the stack pointer for it at `back`.
.global run_fragment
run_fragment:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov qword ptr [r8 + 8], rsp
    mov rbx, rcx
    mov rcx, rdx
    mov rax, offset fragment_over
    mov qword ptr [r8], rax
    mov rsp, rbx
    mov qword ptr [fragment_code], rdi
    mov rax, rsi
    mov rdx, rsi
    mov rbx, rsi
    mov rbp, rsi
    mov rdi, rsi
    mov r8, rsi
    mov r9, rsi
    mov r10, rsi
    mov r11, rsi
    mov r12, rsi
    mov r13, rsi
    mov r14, rsi
    mov r15, rsi
    jmp qword ptr [fragment_code]
fragment_over:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    cld
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

# One entry of 16 bytes for each vector. Those whose exceptions come with an error code do not push one.
.align 16
.global vector_entries
vector_entries:
.set vector, 0
.rept 256
.align 16
.if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
.else
    push 0
.endif
    .byte 0x68                  # push imm32
    .long vector
    jmp vector_common
.set vector, vector + 1
.endr

vector_common:
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    mov rdi, rsp
    mov rbp, rsp
    and rsp, -16
    call take_vector
    mov rsp, rbp
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq

.section .data.entry, "aw"
.align 8
boot_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf9b000000ffff
boot_gdt_pointer:
    .short 23
    .long boot_gdt
start_info_address:
    .long 0
fragment_code:
    .quad 0
narrow_targets:
    .long narrow_code
    .short 16

.section .bss.entry, "aw", @nobits
.align 4096
.global boot_pml4, window_pt
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd: .skip 16384
window_pd: .skip 4096
window_pt: .skip 4096
    .skip 65536
boot_stack_top:
    .skip 65536
second_stack_top:
