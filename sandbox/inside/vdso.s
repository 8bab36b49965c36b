# The clock that a step reads: code for the vDSO page of each of its processes.
#
# The supervisor copies everything between the two outer labels into the padding of a process's
# private copy of the vDSO, fills the words below in, and points the page's symbols here (see
# `src/answer/vdso.rs`). The code is position independent, calls nothing and needs no memory of its
# own: what a thread has read and slept is counted in its GS base, which no program on x86-64 Linux
# uses (thread-local storage is FS). A new thread and a forked process start with their creator's
# count, so what a thread sees depends on itself and its creators alone, whatever the interleaving;
# an exec clears it, and the supervisor then raises the bases below instead.
#
# A signal may interrupt any of this, and its handler may unwind the stack: to cancel the thread, to
# throw, to tell where it was. So what the stack looks like is described behind the code, row by row.
#
# The count must stay a canonical address, so it has 47 bits. It stops at the end.
#   logical  bits 0 to 2: the kernel's second, modulo 8, in which the thread last read, by which it
#            notices that it worked for long in between; bits 3 and 4: its pace on the wall clock, from
#            0 to 3; above: microseconds since the step began
#   frozen   bits 0 to 15: reads, up to 65535; above: tenths of milliseconds

    .pushsection .rodata.envbox_vdso, "a", @progbits
    .balign 64
    .globl envbox_vdso_start
    .hidden envbox_vdso_start
envbox_vdso_start:
.Lheader:
    .ascii "envboxtm"
    .quad .Lclock_gettime - .Lheader
    .quad .Lgettimeofday - .Lheader
    .quad .Ltime - .Lheader
    .quad .Lwait - .Lheader
    .quad .Lasked_clock_gettime - .Lheader
    .quad .Lasked_gettimeofday - .Lheader
    .quad .Lasked_time - .Lheader
    .quad .Lframes - .Lheader
.Lmode:
    .quad 0                             # 1 frozen, 2 logical, 3 ticking
.Lwall_base:
    .quad 0                             # nanoseconds of the wall clock at a count of zero
.Lmonotonic_base:
    .quad 0                             # nanoseconds of the other clocks at a count of zero
.Loriginal:
    .quad 0                             # the kernel's clock_gettime, from .Lheader on
.Lasks:
    .quad 0                             # whether the supervisor is still asked, in an audit
    .set FROZEN, 1
    .set TICKING, 3
    .set LOGICAL, 2
    .set STEP, 32                       # a read takes a microsecond, at pace 2 takes 8, at 3 takes 64
    .set PACE, 8
    .set SPIN, 0x65627370               # the clock id by which the supervisor hears of spinning
    .set PAUSE, 0x65627061              # and of reads in another second than the last
    .set MONOTONIC_COARSE, 6

# The same three for a step whose reads are counted, until the supervisor has heard enough of them.
    .balign 16
.Lasked_clock_gettime:
    endbr64
    cmp dword ptr [rip + .Lasks], 0
    je .Lclock_gettime
    mov eax, 228
    syscall
    ret
    .balign 16
.Lasked_gettimeofday:
    endbr64
    cmp dword ptr [rip + .Lasks], 0
    je .Lgettimeofday
    mov eax, 96
    syscall
    ret
    .balign 16
.Lasked_time:
    endbr64
    cmp dword ptr [rip + .Lasks], 0
    je .Ltime
    mov eax, 201
    syscall
    ret

# int clock_gettime(clockid_t edi, struct timespec *rsi)
    .balign 16
.Lclock_gettime:
    endbr64
    cmp edi, 11
    ja .Lunusual
    mov eax, 0x921                      # REALTIME, REALTIME_COARSE, REALTIME_ALARM, TAI
    bt eax, edi
    jc .Lwall_clock
    cmp dword ptr [rip + .Lmode], LOGICAL
    jne .Lmonotonic
    mov eax, 0x2de                      # MONOTONIC*, BOOTTIME*, and the CPU-time clocks
    bt eax, edi
    jnc .Lkernel
.Llogical_clock:
    call .Lcount
    shr rax, 5
    imul rax, rax, 1000
    add rax, [rip + .Lmonotonic_base]
    jmp .Lstore
.Lwall_clock:
    call .Lwall
.Lstore:
    xor edx, edx
    mov ecx, 1000000000
    div rcx
    mov [rsi], rax
    mov [rsi + 8], rdx
    xor eax, eax
    ret
.Lunusual:                              # negative: the CPU-time clock of some process or thread
    test edi, edi
    jns .Lkernel
    cmp dword ptr [rip + .Lmode], LOGICAL
    jne .Lkernel
    mov eax, edi
    and eax, 7
    cmp eax, 3                          # the clock of a descriptor, a PTP device
    je .Lmonotonic
    mov r8, rsi
    xor esi, esi
    mov eax, 229                        # clock_getres: the kernel knows whether there is one
    syscall
    mov rsi, r8
    test eax, eax
    jz .Llogical_clock
    ret
.Lmonotonic:
    mov eax, 0x50                       # MONOTONIC_RAW and MONOTONIC_COARSE lie behind MONOTONIC,
    bt eax, edi                         # so that they would begin below zero
    jnc .Lkernel
    mov edi, 1
.Lkernel:
    lea rax, [rip + .Lheader]
    add rax, [rip + .Loriginal]
    jmp rax

# int gettimeofday(struct timeval *rdi, struct timezone *rsi)
    .balign 16
.Lgettimeofday:
    endbr64
    test rsi, rsi
    jz 1f
    mov qword ptr [rsi], 0
1:  test rdi, rdi
    jz 2f
    call .Lwall
    xor edx, edx
    mov ecx, 1000000000
    div rcx
    mov [rdi], rax
    mov rax, rdx
    xor edx, edx
    mov ecx, 1000
    div rcx
    mov [rdi + 8], rax
2:  xor eax, eax
    ret

# time_t time(time_t *rdi)
    .balign 16
.Ltime:
    endbr64
    call .Lwall
    xor edx, edx
    mov ecx, 1000000000
    div rcx
    test rdi, rdi
    jz 1f
    mov [rdi], rax
1:  ret

# Returns the wall clock in nanoseconds; keeps rdi and rsi.
.Lwall:
    cmp dword ptr [rip + .Lmode], TICKING
    je 3f
    cmp dword ptr [rip + .Lmode], LOGICAL
    je 2f
    rdgsbase rax                        # frozen: moves by what the thread slept
    inc ax
    jz 4f
    wrgsbase rax
1:  shr rax, 16
    imul rax, rax, 100000
    add rax, [rip + .Lwall_base]
    ret
4:  dec ax                              # 65535 reads: it waits for the clock to move
    add rax, 0x10000
    bt rax, 47
    jc 5f
    wrgsbase rax
    test eax, 0xffff0000                # every 65536 reads
    jnz 1b
    call .Lspin
    jmp 1b
5:  rdgsbase rax
    jmp 1b
2:  call .Lwall_count
    shr rax, 5
    imul rax, rax, 1000
    add rax, [rip + .Lwall_base]
    ret
3:  push rdi
.Lwall_1:
    push rsi
.Lwall_2:
    sub rsp, 16                         # aligned: two calls and four words
.Lwall_3:
    mov edi, 1                          # MONOTONIC starts at zero with the sandbox
    mov rsi, rsp
    call .Lkernel
    imul rax, [rsp], 1000000000
    add rax, [rsp + 8]
    add rsp, 16
.Lwall_4:
    pop rsi
.Lwall_5:
    pop rdi
.Lwall_6:
    add rax, [rip + .Lwall_base]
    ret

# Advances the thread's count by one read of the wall clock and returns it. Who only looks at that waits
# for it to move: each time that the clock passes what takes 1024 reads, the pace rises. A wait takes it
# back to 0, which is as 1 but in that how much of 1024 was over does not matter.
.Lwall_count:
    rdgsbase rdx
    mov ecx, edx
    shr ecx, 3
    and ecx, 3
    sub ecx, 1                          # the first two paces are one
    adc ecx, 0
    lea ecx, [rcx + rcx * 2]
    mov eax, STEP
    shl eax, cl
    add rax, rdx
    xor rdx, rax
    shr rdx, cl
    shr rdx, 15
    jz .Lcounted
    cmp ecx, 6                          # there is no faster one
    je 3f
    add rax, PACE
    jmp .Lcounted
3:  shr rdx, 7                          # every 100,000 reads or so
    jmp 4f

# The same for another clock, which programs read for locks as well, as often as the host's load wants.
.Lcount:
    rdgsbase rax
    mov rdx, rax
    add rax, STEP
    xor rdx, rax
    shr rdx, 22                         # every 100,000 reads or so
4:  jz .Lcounted
    call .Lspin
.Lcounted:
    bt rax, 47
    jc 1f
    push rax
.Lcount_1:
    push rdi
.Lcount_2:
    push rsi
.Lcount_3:
    sub rsp, 16
.Lcount_4:
    mov edi, MONOTONIC_COARSE
    mov rsi, rsp
    call .Lkernel
    mov ecx, [rsp]
    add rsp, 16
.Lcount_5:
    pop rsi
.Lcount_6:
    pop rdi
.Lcount_7:
    pop rax
.Lcount_8:
    mov edx, eax
    xor edx, ecx
    test edx, 7
    jnz 2f
    wrgsbase rax
    ret
1:  rdgsbase rax
    ret
2:  and rax, -8
    and ecx, 7
    or rax, rcx
    wrgsbase rax
    push rax
.Lpause_1:
    push rdi
.Lpause_2:
    mov edi, PAUSE
    jmp .Ltell

# Tells the supervisor; keeps everything but rcx and r11.
.Lspin:
    push rax
.Lspin_1:
    push rdi
.Lspin_2:
    mov edi, SPIN
.Ltell:
    mov eax, 228
    syscall
    pop rdi
.Lspin_3:
    pop rax
.Lspin_4:
    ret

# A timed wait, entered by the supervisor with the call's registers and a frame on the stack:
#    0  room for a deadline          64  rdi rsi rdx r10 r8 r9 of the step
#   32  result that means "ran out"  40  what to add to the count then
#   48  where to go on               56  the step's stack pointer
#  112  what to add for an event    120  where the step wants the rest of its time, or 0
#  128  the rest then (two words)   144  what to add when a signal interrupts it
#  152  the rest then (two words)
    .balign 16
.Lwait:
    syscall
    cmp rax, [rsp + 32]
    je 3f
    mov rcx, [rsp + 112]
    lea rdx, [rsp + 128]
    test rax, rax
    jg 2f                               # descriptors that are ready
    cmp rax, -4                         # EINTR
    jne 1f
    mov rcx, [rsp + 144]
    lea rdx, [rsp + 152]
2:  mov rdi, [rsp + 120]
    test rdi, rdi
    jz 4f
    mov rsi, [rdx]                      # over what the kernel measured on its own clock
    mov [rdi], rsi
    mov rsi, [rdx + 8]
    mov [rdi + 8], rsi
    jmp 4f
3:  mov rcx, [rsp + 40]
4:  jrcxz 1f                            # it is not counted
    rdgsbase rdx
    cmp dword ptr [rip + .Lmode], LOGICAL
    jne 5f
    and rdx, -1 - 3 * PACE
5:  add rcx, rdx
    bt rcx, 47
    jc 1f
    wrgsbase rcx
1:  mov rdi, [rsp + 64]
    mov rsi, [rsp + 72]
    mov rdx, [rsp + 80]
    mov r10, [rsp + 88]
    mov r8, [rsp + 96]
    mov r9, [rsp + 104]
    mov rcx, [rsp + 48]
    mov rsp, [rsp + 56]
.Lwait_1:
    jmp rcx
.Lwait_end:

# How to unwind all that: DWARF's call frame information, as in a section `.eh_frame`. There is little
# room in the page.
    .set ADVANCE, 0x40                  # DW_CFA_advance_loc: so many bytes of code on, below 64
    .set OFFSET, 0x0e                   # DW_CFA_def_cfa_offset: the frame begins so far up
    .macro row at, before, offset
    .byte ADVANCE + \at - \before, OFFSET, \offset
    .endm
    .balign 4
.Lframes:
.Lcommon:
    .long .Lcommon_end - .Lcommon - 4
    .long 0
    .byte 1                             # version
    .asciz "zR"
    .byte 1, 0x78, 16                   # alignment of code 1, of data -8; rip is register 16
    .byte 1, 0x1b                       # addresses are relative, of 32 bits
    .byte 0x0c, 7, 8                    # DW_CFA_def_cfa: the frame begins at rsp + 8
    .byte 0x90, 1                       # DW_CFA_offset: rip lies 8 below that
    .balign 4, 0
.Lcommon_end:

.Lreads:
    .long .Lreads_end - .Lreads - 4
    .long . - .Lcommon
    .long .Lasked_clock_gettime - .
    .long .Lwait - .Lasked_clock_gettime
    .byte 0
    .byte 0x03                          # DW_CFA_advance_loc2
    .short .Lwall_1 - .Lasked_clock_gettime
    .byte OFFSET, 16
    row .Lwall_2, .Lwall_1, 24
    row .Lwall_3, .Lwall_2, 40
    row .Lwall_4, .Lwall_3, 24
    row .Lwall_5, .Lwall_4, 16
    row .Lwall_6, .Lwall_5, 8
    .byte 0x02, .Lcount_1 - .Lwall_6    # DW_CFA_advance_loc1
    .byte OFFSET, 16
    row .Lcount_2, .Lcount_1, 24
    row .Lcount_3, .Lcount_2, 32
    row .Lcount_4, .Lcount_3, 48
    row .Lcount_5, .Lcount_4, 32
    row .Lcount_6, .Lcount_5, 24
    row .Lcount_7, .Lcount_6, 16
    row .Lcount_8, .Lcount_7, 8
    row .Lpause_1, .Lcount_8, 16
    row .Lpause_2, .Lpause_1, 24
    row .Lspin, .Lpause_2, 8
    row .Lspin_1, .Lspin, 16
    row .Lspin_2, .Lspin_1, 24
    row .Lspin_3, .Lspin_2, 16
    row .Lspin_4, .Lspin_3, 8
    .balign 4, 0
.Lreads_end:

.Lwaits:
    .long .Lwaits_end - .Lwaits - 4
    .long . - .Lcommon
    .long .Lwait - .
    .long .Lwait_end - .Lwait
    .byte 0
    .byte 0x0f, 3, 0x77, 56, 0x06       # DW_CFA_def_cfa_expression: what [rsp + 56] says
    .byte 0x10, 16, 2, 0x77, 48         # DW_CFA_expression: rip is at rsp + 48
    .byte 0x02, .Lwait_1 - .Lwait       # DW_CFA_advance_loc1
    .byte 0x0c, 7, 0                    # the frame begins at rsp
    .byte 0x09, 16, 2                   # DW_CFA_register: rip is in rcx
    .balign 4, 0
.Lwaits_end:
    # Only padding follows: how `answer/vdso.rs` finds the end.
    .balign 16, 0
    .globl envbox_vdso_end
    .hidden envbox_vdso_end
envbox_vdso_end:
    .popsection
