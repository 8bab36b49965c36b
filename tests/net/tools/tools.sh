# Clocks, waits and random numbers of what every system has. Prints the same each time.
cd /tmp
timeout 0.1 sleep 100; echo "timeout $?"
timeout -s KILL 0.1 sh -c 'while :; do :; done'; echo "killed $?"
sleep 0.25; date -u +%FT%T.%N
bash -c 'echo "bash $RANDOM $SRANDOM ${EPOCHREALTIME%.*} $SECONDS $BASHPID"; read -t 0.05 x < <(sleep 100); echo "read $?"
    sleep 0.3 & wait $!; echo "wait $?"; time -p true' 2>&1
perl -MTime::HiRes=time,sleep,ualarm -e '
    my $start = time; sleep 0.05; select undef, undef, undef, 0.05;
    print "perl ", (time - $start >= 0.1 ? "slept" : "early"), " ", rand, " ", join(",", keys %{{map { $_ => 1 } "a".."h"}}), "\n";
    eval { local $SIG{ALRM} = sub { die "alarm\n" }; ualarm 50_000; 1 while 1 }; print $@;
    defined(my $child = fork) or die; exit 3 if !$child; waitpid $child, 0; print "child ", $? >> 8, "\n"'
mkdir watched
inotifywait -q -t 1 watched; echo "inotifywait $?"
(sleep 0.2; touch watched/file) & inotifywait -q -e create watched; wait
mktemp -u; shuf -i 1-1000 -n 3 | tr '\n' ' '; od -An -N4 -tx4 /dev/urandom; head -c 4 /dev/random | od -An -tx4
seq 6 | xargs -P 3 -n 1 sh -c 'od -An -N4 -tx4 /dev/urandom > /tmp/random-$0'; cat random-*
