// A complete program for linux/arm64: prints two lines and exits with 0, or with 1 if it cannot print.
// The ELF header is part of the source: the file is exactly these bytes, and no linker is involved.

        .set    base, 0x400000                  // where the file is mapped

        .text
file:
        .byte   0x7f, 'E', 'L', 'F', 2, 1, 1, 0 // 64 bits, little-endian, version 1, System V
        .quad   0
        .short  2, 183                          // ET_EXEC, EM_AARCH64
        .long   1
        .quad   base + (start - file)           // e_entry
        .quad   segments - file                 // e_phoff
        .quad   0                               // e_shoff: no sections
        .long   0
        .short  64, 56, 2                       // e_ehsize, e_phentsize, e_phnum
        .short  0, 0, 0

segments:
        .long   1, 5                            // PT_LOAD, read and execute
        .quad   0, base, base
        .quad   end - file, end - file
        .quad   0x10000                         // kernels for arm64 have pages of 4, 16 or 64 KiB

        .long   0x6474e551, 6                   // PT_GNU_STACK, read and write: the stack is not executable
        .quad   0, 0, 0, 0, 0, 16

start:
        mov     x0, #1                          // standard output
        adr     x1, text
        mov     x2, #(end - text)
        mov     x8, #64                         // write
        svc     #0
        cmp     x0, #(end - text)
        cset    w0, ne
        mov     x8, #94                         // exit_group
        svc     #0

text:
        .ascii  "Hello from sazare on linux/arm64.\n"
        .ascii  "This image was made without a daemon, without root and without a network.\n"
end:
