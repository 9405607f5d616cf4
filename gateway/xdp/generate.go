package xdp

// The programs in C are compiled to fast_bpfel.o, which is committed: to build the
// gateway takes no C compiler. TestProgramsAreCompiled holds one against the other.
//
//go:generate go tool bpf2go -target bpfel -cflags "-O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -mcpu=v3 -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu" -type control -type link -type port -type domain -type vtep -type hop -type vni_bucket -type fdb_bucket -type route -type traffic -type load -type verdicts fast bpf/fast.bpf.c
