# Builds with make and ninja, and git: nothing is built twice, and what was touched is built again.
set -e
mkdir /tmp/work && cd /tmp/work
cat > hello.c <<'END'
#include "hello.h"
int main(void) { return puts(HELLO __DATE__) < 0; }
END
printf '#include <stdio.h>\n#define HELLO "hello "\n' > hello.h
printf 'hello: hello.c hello.h\n\tgcc -o $@ hello.c\n' > Makefile
cat > build.ninja <<'END'
rule cc
  command = gcc -MD -MF $out.d -o $out $in
  depfile = $out.d
build ninja-hello: cc hello.c
END
printf 'hello\nninja-hello*\n.ninja*\n' > .gitignore
git init -q . && git add -A && git -c user.name=a -c user.email=a@b commit -qm first
git log --format='%H %cI'
for round in 1 2; do make; ninja; done
./hello && ./ninja-hello
echo "status: $(git status --porcelain)"
touch hello.h
make; ninja
echo "status: $(git status --porcelain)"
sleep 1
sed -i 's/hello "/bye "/' hello.h
make; ninja
./hello && ./ninja-hello
git status --porcelain; git diff --stat
