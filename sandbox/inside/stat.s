# How a step looks at files without the supervisor: code for the vDSO page of each of its processes.
#
# A place in a program that calls `stat` or a relative is replaced by a jump to a stub of its own,
# which says where to go on and which call it was (see `src/answer/sites.rs`). The call is made here
# instead, with a mark that the filter knows. If the file has not changed since the step began, its
# times are moved to where the step believes to be; otherwise the call is made again without the
# mark, and the supervisor is asked, who hears what the thread's clock has counted.
#
# A call spoils rax, rcx and r11 alone, so no other register may change. What lies below the stack
# pointer is left alone as well: the place may be in a function that uses it.

    .pushsection .rodata.envbox_stat, "a", @progbits
    .balign 64
    .globl envbox_stat_start
    .hidden envbox_stat_start
envbox_stat_start:
.Lstat_header:
    .quad .Lstat - .Lstat_header
    .quad .Lstat_frames - .Lstat_header
.Lstat_used:
    .quad 0                             # how many stubs there are in this process
.Lsince:
    .quad 0, 0                          # when the step began: seconds and nanoseconds
.Lback:
    .quad 0                             # so many seconds earlier is what was there before
.Lmark:
    .quad 0                             # the sixth argument of a call of ours
.Loldest:
    .quad 0                             # what was older before stays as it is: seconds
.Lalways:
    .quad 0                             # whether that is so for every file, in an audit
.Lcounts:
    .quad 0                             # whether the thread's count is told to whom we ask
    .set MICROSECOND, 5                 # the bit of a logical count from which on it has them
    .set CLONE, 56
    .set FORK, 57
    .set INTERRUPTED, -4
    .set FSTATAT, 262
    .set STATX, 332
    # Offsets in `struct stat` and `struct statx`.
    .set STAT_MODE, 24
    .set STAT_ATIME, 72
    .set STAT_MTIME, 88
    .set STAT_CTIME, 104
    .set STATX_MODE, 28
    .set STATX_ATIME, 64
    .set STATX_BTIME, 80
    .set STATX_CTIME, 96
    .set STATX_MTIME, 112
    .set STATX_WANTED, 0xc1             # type, mtime, ctime

# Moves the times in a structure at rcx, if the file has not changed, and leaves zero in eax; else goes
# on at 8. Nanoseconds have 32 bits in one and 64 in the other, and the type of a file is in the same
# four bits of its mode.
    .macro told of
    movzx eax, word ptr [rcx + \of\()_MODE]
    mov r11, [rcx + \of\()_CTIME]
    cmp r11, [rip + .Lsince]
    jg 8f
    jl 1f
    mov r11d, [rcx + \of\()_CTIME + 8]
    cmp r11d, [rip + .Lsince + 8]
    jae 8f
1:  shr eax, 12                         # a regular file, a directory or a link
    mov r11d, 0x510
    bt r11d, eax
    jnc 8f
    mov r11, [rcx + \of\()_MTIME]
    mov rax, r11
    sub rax, [rip + .Lback]
    cmp r11, [rip + .Loldest]
    jle 2f
    mov r11, [rip + .Loldest]
2:  cmp rax, r11
    cmovl rax, r11
    mov r11d, [rcx + \of\()_MTIME + 8]
    mov [rcx + \of\()_ATIME], rax
    mov [rcx + \of\()_ATIME + 8], r11d
    mov [rcx + \of\()_MTIME], rax
    mov [rcx + \of\()_CTIME], rax
    mov [rcx + \of\()_CTIME + 8], r11d
    xor eax, eax
    .endm

# Entered by a stub, with 128 bytes of stack skipped: the number of the call in eax, where to go on in
# rcx.
    .balign 16
.Lstat:
    push rcx
.Lstat_1:
    push rax
.Lstat_2:
    push r9
.Lstat_3:
    cmp eax, CLONE
    je 6f
    cmp eax, FORK
    je 6f
    cmp dword ptr [rip + .Lalways], 0
    jne 8f
    mov r9, [rip + .Lmark]
    syscall
    test eax, eax
    jnz 9f
    mov eax, [rsp + 8]
    cmp eax, STATX
    je 4f
    mov rcx, rsi
    cmp eax, FSTATAT
    cmove rcx, rdx
    told STAT
    jmp 9f
4:  mov rcx, r8
    mov eax, [rcx]
    and eax, STATX_WANTED
    cmp eax, STATX_WANTED
    jne 8f
    told STATX
    test dword ptr [rcx], 0x800         # the time of birth, if it was asked for
    jz 9f
    mov rax, [rcx + STATX_MTIME]
    mov [rcx + STATX_BTIME], rax
    mov [rcx + STATX_BTIME + 8], r11d
    xor eax, eax
    jmp 9f
# A process is made. Without the supervisor no signal would cut that short, and no program expects it.
6:  mov eax, [rsp + 8]
    syscall
    cmp rax, INTERRUPTED
    je 6b
    jmp 9f
8:  mov eax, [rsp + 8]
    xor r9d, r9d
    cmp dword ptr [rip + .Lcounts], 0
    je 7f
    rdgsbase r9                         # no mark: it has 47 bits
7:  syscall
    cmp eax, INTERRUPTED
    je 8b
    test eax, eax                       # of what has changed: so many microseconds for it
    jle 9f
    shl rax, MICROSECOND
    rdgsbase r11
    add r11, rax
    xor eax, eax
    bt r11, 47
    jc 9f
    wrgsbase r11
9:  pop r9
.Lstat_4:
    pop rcx
.Lstat_5:
    pop rcx
.Lstat_6:
    sub rsp, -128
.Lstat_7:
    jmp rcx
.Lstat_end:

# How to unwind that, as in `inside/vdso.s`: as if the place had called.
    .balign 4
.Lstat_frames:
.Lstat_common:
    .long .Lstat_common_end - .Lstat_common - 4
    .long 0
    .byte 1                             # version
    .asciz "zR"
    .byte 1, 0x78, 16                   # alignment of code 1, of data -8; rip is register 16
    .byte 1, 0x1b                       # addresses are relative, of 32 bits
    .byte 0x0c, 7                       # DW_CFA_def_cfa: the frame begins at rsp + 128
    .uleb128 128
    .byte 0x09, 16, 2                   # DW_CFA_register: rip is in rcx
    .balign 4, 0
.Lstat_common_end:
    .macro stat_row at, before, offset
    .byte 0x40 + \at - \before, 0x0e    # DW_CFA_advance_loc, DW_CFA_def_cfa_offset
    .uleb128 \offset
    .endm
.Lstat_rows:
    .long .Lstat_rows_end - .Lstat_rows - 4
    .long . - .Lstat_common
    .long .Lstat - .
    .long .Lstat_end - .Lstat
    .byte 0
    stat_row .Lstat_1, .Lstat, 136
    .byte 0x90, 17                      # DW_CFA_offset: rip lies 136 below
    stat_row .Lstat_2, .Lstat_1, 144
    stat_row .Lstat_3, .Lstat_2, 152
    .byte 0x03                          # DW_CFA_advance_loc2
    .short .Lstat_4 - .Lstat_3
    .byte 0x0e
    .uleb128 144
    stat_row .Lstat_5, .Lstat_4, 136
    stat_row .Lstat_6, .Lstat_5, 128
    .byte 0x09, 16, 2
    stat_row .Lstat_7, .Lstat_6, 0
    .balign 4, 0
.Lstat_rows_end:
    .long 0                             # the end of the descriptions
    # The stubs follow, from here on: `answer/sites.rs` writes them.
    .balign 16, 0
    .globl envbox_stat_end
    .hidden envbox_stat_end
envbox_stat_end:
    .popsection
