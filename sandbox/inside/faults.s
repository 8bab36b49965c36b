# The answers to instructions that fault: code for the vDSO page of each of a step's processes,
# behind the clock's.
#
# With CPUID faulting on, the instruction raises SIGSEGV; with the time-stamp counter forbidden
# (PR_SET_TSC), RDTSC and RDTSCP do. The supervisor copies everything between the two outer labels
# into the page, puts CPUID's table behind it, fills the words below in and sends the new program to
# .Lenter, which turns the faulting on and makes the call the program was in.
# From then on our handler is the kernel's idea of the program's handler. What the program sets for
# itself the supervisor keeps in .Laction, where the handler finds it; the page is the process's own,
# so a forked child inherits it and an exec ends it, as the kernel does with CPUID's faulting. That of
# the counter outlives an exec, and glibc's linker reads it first of all: so the supervisor sends a
# thread that is about to execute a program through .Lexec, which allows it again.
#
# Ours runs on the alternate stack if there is one, for the kernel's frame is larger than a small stack
# (Go's); so does the program's then, even if it did not ask for that.
#
# SIGSEGV is never blocked by our doing, for a CPUID then would kill. That a program's handler runs
# which wants it blocked is remembered as the blocking of the last real-time signal instead, so that
# it ends when the handler returns or jumps out.

    .pushsection .rodata.envbox_faults, "a", @progbits
    .balign 64
    .globl envbox_faults_start
    .hidden envbox_faults_start
envbox_faults_start:
.Lfaults_header:
    .ascii "envboxid"
    .quad .Lenter - .Lfaults_header
    .quad .Lhandler - .Lfaults_header
    .quad .Lrestorer - .Lfaults_header
    .quad .Lexec - .Lfaults_header
.Lwhich:
    .quad 0                             # bit 0: CPUID faults, bit 1: so does the counter
.Lheld:
    .quad 0                             # whether the program was sent to .Lenter
.Lnonce:
    .quad 0                             # for the supervisor to find out who shares this memory
.Laction:
    .quad 0, 0, 0, 0                    # the program's own: handler, flags, restorer, mask
.Lours:
    .quad 0, 0, 0, 0                    # the same of ours
.Lsaved:
    .quad 0, 0, 0, 0                    # rdi, rsi, rdx and r10 of the program's call
    .quad 0                             # its number
    .quad 0                             # rdi by which the supervisor is not asked again
    .quad 0                             # where the program goes on
.Ldefault:
    .quad 0, 0, 0, 0                    # SIG_DFL
    .set OWN, 0x656e7662                # in the high half of an argument: a call of ours
    .set SEGV, 11
    .set SI_KERNEL, 0x80
    .set GENERAL_PROTECTION, 13
    .set CPUID, 1
    .set COUNTER, 2
    .set READ, 0x65627463               # the clock id by which the supervisor hears of a read
    .set MARKER, 63                     # the bit of the last real-time signal
    .set NODEFER, 0x40000000
    .set RESETHAND, 0x80000000
    # Offsets in struct ucontext.
    .set SAVED_RBX, 128
    .set SAVED_RDX, 136
    .set SAVED_RAX, 144
    .set SAVED_RCX, 152
    .set SAVED_RIP, 168
    .set SAVED_TRAP, 200
    .set SAVED_MASK, 296

# Once in each program, in place of the first call that we are asked about.
    .balign 16
.Lenter:
    mov eax, 13                         # rt_sigaction
    movabs rdi, (OWN << 32) | SEGV
    lea rsi, [rip + .Lours]
    xor edx, edx
    mov r10d, 8
    syscall
    test byte ptr [rip + .Lwhich], CPUID
    jz 1f
    mov eax, 158                        # arch_prctl(ARCH_SET_CPUID, 0)
    movabs rdi, (OWN << 32) | 0x1012
    xor esi, esi
    syscall
1:  test byte ptr [rip + .Lwhich], COUNTER
    jz 2f
    mov eax, 157                        # prctl(PR_SET_TSC, PR_TSC_SIGSEGV)
    mov edi, 26
    mov esi, 2
    syscall
2:  mov rdi, [rip + .Lsaved + 40]
    mov rsi, [rip + .Lsaved + 8]
    mov rdx, [rip + .Lsaved + 16]
    mov r10, [rip + .Lsaved + 24]
    mov rax, [rip + .Lsaved + 32]
    syscall
    mov rdi, [rip + .Lsaved]
    mov rcx, [rip + .Lsaved + 48]
    jmp rcx

# In place of a call that executes a program; in rcx, which such a call overwrites, is where it would
# go on if that fails. Everything else must then be as it was.
    .balign 16
.Lexec:
    lea rsp, [rsp - 128]                # the red zone may be in use
    push rcx
    push rax
    push rdi
    push rsi
    mov eax, 157                        # prctl(PR_SET_TSC, PR_TSC_ENABLE)
    mov edi, 26
    mov esi, 1
    syscall
    pop rsi
    pop rdi
    pop rax
    syscall
    push rax
    push rdi
    push rsi
    mov eax, 157
    mov edi, 26
    mov esi, 2
    syscall
    pop rsi
    pop rdi
    pop rax
    pop rcx
    lea rsp, [rsp + 128]
    jmp rcx

# void handler(int edi, siginfo_t *rsi, ucontext_t *rdx)
    .balign 16
.Lhandler:
    endbr64
    cmp dword ptr [rsi + 8], SI_KERNEL
    jne .Lother
    cmp dword ptr [rdx + SAVED_TRAP], GENERAL_PROTECTION
    jne .Lother
    mov rax, [rdx + SAVED_RIP]
    mov rcx, rax
    shr rcx, 47                         # no address at all
    jnz .Lother
    cmp word ptr [rax], 0x310f          # rdtsc
    je .Lrdtsc
    cmp word ptr [rax], 0xa20f          # cpuid
    jne .Lmaybe_rdtscp
    add rax, 2
    mov [rdx + SAVED_RIP], rax
    mov eax, [rdx + SAVED_RAX]
    mov ecx, [rdx + SAVED_RCX]
    lea rsi, [rip + .Ltable]
1:  cmp dword ptr [rsi], -1             # the end: zeros
    je 3f
    cmp [rsi], eax
    jne 2f
    cmp dword ptr [rsi + 4], -1         # whatever is in ecx
    je 3f
    cmp [rsi + 4], ecx
    je 3f
2:  add rsi, 24
    jmp 1b
3:  mov eax, [rsi + 8]
    mov [rdx + SAVED_RAX], rax
    mov eax, [rsi + 12]
    mov [rdx + SAVED_RBX], rax
    mov eax, [rsi + 16]
    mov [rdx + SAVED_RCX], rax
    mov eax, [rsi + 20]
    mov [rdx + SAVED_RDX], rax
    ret

.Lmaybe_rdtscp:
    cmp word ptr [rax], 0x010f
    jne .Lother
    cmp byte ptr [rax + 2], 0xf9
    jne .Lother
    mov qword ptr [rdx + SAVED_RCX], 0  # the first processor
    inc rax
.Lrdtsc:
    add rax, 2
    mov [rdx + SAVED_RIP], rax
3:  mov eax, 228                        # clock_gettime: the supervisor counts it, and answers
    mov edi, READ
    xor esi, esi
    syscall
    cmp rax, -4                         # EINTR
    je 3b
    mov ecx, eax
    mov [rdx + SAVED_RAX], rcx
    shr rax, 32
    mov [rdx + SAVED_RDX], rax
    ret

# None of ours: what would have happened without us. Registers are free, the kernel has them all.
.Lother:
    mov r12, rsi
    mov r13, rdx
    mov r14, [rip + .Laction]
    mov r15, [rip + .Laction + 8]
    mov rbp, [rip + .Laction + 24]
    cmp r14, 1
    ja 4f
    jb .Ldie
    cmp dword ptr [rsi + 8], 0          # SIG_IGN: not for what the processor raised
    jg .Ldie
    ret
4:  cmp dword ptr [rsi + 8], 0
    jle 5f
    bt qword ptr [rdx + SAVED_MASK], MARKER   # in a handler that would have had it blocked
    jc .Ldie
5:  test r15d, RESETHAND
    jz 6f
    mov eax, 13                         # the supervisor is asked
    mov edi, SEGV
    lea rsi, [rip + .Ldefault]
    xor edx, edx
    mov r10d, 8
    syscall
6:  mov rax, rbp
    test r15d, NODEFER
    jnz 7f
    bts rax, MARKER
7:  btr rax, SEGV - 1
    test rax, rax
    jz 8f
    push rax
    mov eax, 14                         # rt_sigprocmask(SIG_BLOCK)
    xor edi, edi
    mov rsi, rsp
    xor edx, edx
    mov r10d, 8
    syscall
    pop rax
8:  mov edi, SEGV
    mov rsi, r12
    mov rdx, r13
    xor eax, eax
    jmp r14

# Back to where it happened, without a handler; what somebody sent is sent again.
.Ldie:
    mov eax, 13
    movabs rdi, (OWN << 32) | SEGV
    lea rsi, [rip + .Ldefault]
    xor edx, edx
    mov r10d, 8
    syscall
    cmp dword ptr [r12 + 8], 0
    jg 9f
    mov eax, 39                         # getpid
    syscall
    mov ebx, eax
    mov eax, 186                        # gettid
    syscall
    mov edi, ebx
    mov esi, eax
    mov edx, SEGV
    mov r10, r12
    mov eax, 297                        # rt_tgsigqueueinfo
    syscall
9:  ret

# By these bytes debuggers and libraries that unwind the stack know that a signal was handled. What
# is before them must not belong to a function.
    .balign 16
    nop
.Lrestorer:
    .byte 0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00      # mov rax, 15 (rt_sigreturn)
    syscall
    .balign 8
.Ltable:
    .globl envbox_faults_end
    .hidden envbox_faults_end
envbox_faults_end:
    .popsection
