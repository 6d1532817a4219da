#!/usr/bin/env bash
# Proves what the documents claim and a plain test run does not show.
#
#   scripts/prove.sh                      bench, planted, then mutants: over an hour
#   scripts/prove.sh mutants [NAME…]      takes out one mechanism at a time
#   scripts/prove.sh applies              checks that every mutant still fits the code
#   scripts/prove.sh check                checks the mutant runner itself
#   scripts/prove.sh bench [SCENARIO…]    measures what the documents promise, each beside its bar
#   scripts/prove.sh planted [NAME…]      wants scenarios of the harness to notice mutants
#   scripts/prove.sh benchmarks [REGEXP]  medians of 10 warm rounds of each Go benchmark
#
# A mutant is scripts/mutants/NAME.patch, made by `git diff`, headed by
#
#   # takes out: what no longer works
#   # test: ./folder ^TestName$
#   # scenario: herd --profile strict      (some: one that must notice, with its flags)
#
# It is applied to a copy of the working tree. Each of its tests must pass before, must
# still build after, and must then fail by an assertion: not by a panic, not by a
# timeout, not by having run nothing. A patch that no longer applies is a failure too.
set -Eeuo pipefail
export LC_ALL=C GOWORK=off BELLWETHER_TEST_SERVERS=require
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

tmp=$(mktemp -d "${TMPDIR:-/tmp}/bellwether.XXXXXX")
export TMPDIR=$tmp GIT_CEILING_DIRECTORIES=$tmp
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
	printf '%s\n' "$*" >&2
	exit 1
}

# patches ROOT NAME… prints the named mutants' files, or all of them.
patches() {
	local from=$1 name
	shift
	if (($# == 0)) && [[ -d $from/scripts/mutants ]]; then
		find "$from/scripts/mutants" -name '*.patch' | sort
	fi
	for name in "$@"; do
		name=$from/scripts/mutants/$(basename "$name" .patch).patch
		[[ -f $name ]] || fail "there is no $name"
		echo "$name"
	done
}

# header KEY PATCH prints the values of the patch's "# KEY: value" lines.
header() {
	sed -n "s/^# $1: *//p" "$2"
}

copy_tree() {
	mkdir -p "$2"
	tar -C "$1" --exclude=./.git -cf - . | tar -C "$2" -xf -
}

applies() {
	local patch bad=0
	for patch in $(patches "$root"); do
		git -C "$root" apply --check "$patch" || {
			echo "does not apply: $patch"
			bad=1
		}
	done
	((bad == 0)) || exit 1
	echo "$(patches "$root" | wc -l) mutants apply"
}

# outcome TREE FOLDER RUN builds and runs one test and says in one word how it went.
# The log of the run is left in $tmp/log.
outcome() {
	local tree=$1 folder=$2 run=$3 binary=$tmp/mutant.test
	rm -f "$binary"
	(cd "$tree" && go test -vet=off -c -o "$binary" "$folder") >"$tmp/log" 2>&1 || {
		echo "no-build"
		return
	}
	local status=0
	(cd "$tree/$folder" && "$binary" -test.v -test.run "$run" -test.timeout 120s) </dev/null >"$tmp/log" 2>&1 || status=$?
	if ! grep -q '^=== RUN' "$tmp/log"; then
		echo "ran-nothing"
	elif ((status == 0)); then
		echo "passed"
	elif asserted; then
		echo "failed"
	else
		echo "crashed"
	fi
}

# asserted reports whether the run in $tmp/log failed by what a test said. A panic is
# not that, but for the one by which a synctest bubble reports the goroutines that a
# failed test has left behind.
asserted() {
	grep -q '^ *--- FAIL: ' "$tmp/log" &&
		grep -q '^ *[^ ]*\.go:[0-9]*: ' "$tmp/log" &&
		! grep -E '^(panic|fatal error): ' "$tmp/log" | grep -qv 'main bubble goroutine has exited'
}

# row prints a line of the table of mutants.
row() {
	printf '%-26s %-9s %5s  %s\n' "$@"
}

# mutants ROOT NAME… runs the mutants and fails unless every one is caught.
mutants() {
	local from=$1 tree=$tmp/tree patch name folder run word verdict begun bad=0 count=0
	shift
	local all
	all=$(patches "$from" "$@")
	[[ -n $all ]] || fail "there are no mutants"
	copy_tree "$from" "$tree"

	row mutant verdict secs "takes out; test"
	for patch in $all; do
		name=$(basename "$patch" .patch) begun=$SECONDS count=$((count + 1))
		[[ -n $(header test "$patch") ]] || fail "$patch names no test"
		while read -r folder run; do
			word=$(outcome "$tree" "$folder" "$run")
			if [[ $word != passed ]]; then
				verdict="before: $word"
			elif ! git -C "$tree" apply "$patch" 2>"$tmp/log"; then
				verdict="stale"
			else
				verdict=$(outcome "$tree" "$folder" "$run")
				git -C "$tree" apply -R "$patch"
			fi
			[[ $verdict != failed ]] || verdict=caught
			row "$name" "$verdict" $((SECONDS - begun)) "$(header 'takes out' "$patch"); $folder $run"
			if [[ $verdict != caught ]]; then
				bad=$((bad + 1))
				sed 's/^/    /' "$tmp/log" | tail -n 15
			fi
		done < <(header test "$patch")
	done
	echo
	echo "$count mutants, $bad not caught"
	((bad == 0))
}

# check runs the mutant runner on a module of four lines, where one mutant is caught
# and each of the others escapes in its own way.
check() {
	local fake=$tmp/fake got want
	mkdir -p "$fake/scripts/mutants"
	printf 'module fake\n\ngo 1.26.0\n' >"$fake/go.mod"
	printf 'package fake\n\nfunc one() int { return 1 }\n\nfunc two() int { return 2 }\n' >"$fake/fake.go"
	printf 'package fake\n\nimport "testing"\n\nfunc TestOne(t *testing.T) {\n\tif got := []int{7, 7}[one()]; got != 7 || one() != 1 {\n\t\tt.Fatal(one())\n\t}\n}\n' >"$fake/fake_test.go"
	fake_mutant "$fake" caught '^TestOne$' 's/return 1/return 0/'
	fake_mutant "$fake" crashed '^TestOne$' 's/return 1/return 9/'
	fake_mutant "$fake" no-build '^TestOne$' 's/return 1/return x/'
	fake_mutant "$fake" passed '^TestOne$' 's/return 2/return 3/'
	fake_mutant "$fake" ran-nothing '^TestTwo$' 's/return 1/return 0/'
	fake_mutant "$fake" stale '^TestOne$' 's/return 1/return 0/'
	sed -i 's/^-func one.*/-func six() int { return 6 }/' "$fake/scripts/mutants/stale.patch"
	if mutants "$fake" >"$tmp/table"; then
		cat "$tmp/table"
		fail "the runner accepts mutants that nothing catches"
	fi
	cat "$tmp/table"
	got=$(awk 'NF > 3 && $1 != "mutant" && /\^Test/ { sub(/before: /, ""); print $1, $2 }' "$tmp/table")
	want=$'caught caught\ncrashed crashed\nno-build no-build\npassed passed\nran-nothing ran-nothing\nstale stale'
	[[ $got == "$want" ]] || fail "the runner gave"$'\n'"$got"$'\n'"want"$'\n'"$want"
	rm -rf "$tmp/tree"
	mutants "$fake" caught
}

# fake_mutant ROOT NAME RUN EDIT writes a patch that makes a sed edit of fake.go.
fake_mutant() {
	local patch=$1/scripts/mutants/$2.patch
	printf '# takes out: %s\n# test: . %s\n' "$2" "$3" >"$patch"
	sed "$4" "$1/fake.go" | diff -u --label a/fake.go --label b/fake.go "$1/fake.go" - >>"$patch" || true
}

# bench SCENARIO… runs scenarios of the harness, or all of them, and fails when an
# invariant is broken or a bar is missed. It wants a quiet machine.
bench() {
	cd "$root"
	go build -o "$tmp/bellwether" ./cmd/bellwether
	if (($# == 0)); then # the list's other lines are indented
		mapfile -t < <("$tmp/bellwether" bench list | sed -n 's/^\([a-z][a-z]*\) .*/\1/p')
		set -- "${MAPFILE[@]}"
	fi
	"$tmp/bellwether" bench run "$@" --bars --html "" --timeout 2h
}

# planted NAME… runs the scenarios that mutants name: each must hold without the mutant,
# and break with it, as a table says. It wants a quiet machine: one of them is a bar.
planted() {
	local patch name flags tree word bad=0
	for patch in $(patches "$root" "$@"); do
		flags=$(header scenario "$patch")
		[[ -n $flags ]] || continue
		name=$(basename "$patch" .patch) tree=$tmp/planted
		rm -rf "$tree"
		copy_tree "$root" "$tree"
		go -C "$tree" build -o "$tmp/sound" ./cmd/bellwether || fail "the tree does not build"
		git -C "$tree" apply "$patch" || fail "stale: $patch"
		go -C "$tree" build -o "$tmp/planted.bin" ./cmd/bellwether || fail "$name does not build"
		if ! scenario "$tmp/sound" "$flags"; then
			word="BROKEN WITHOUT IT"
		elif ! scenario "$tmp/planted.bin" "$flags" && noticed; then
			word=noticed
		else
			word=MISSED
		fi
		printf '%-26s %-18s %s; bench run %s\n' "$name" "$word" "$(header 'takes out' "$patch")" "$flags"
		if [[ $word != noticed ]]; then
			bad=1
			sed 's/^/    /' "$tmp/log" | tail -n 15
		fi
	done
	((bad == 0)) || fail "a planted fault was not noticed"
}

# scenario BINARY FLAGS runs a small one of Bellwether alone, and leaves what it said in
# $tmp/log.
scenario() {
	# shellcheck disable=SC2086 # flags are words
	"$1" bench run $2 --replicas 4 --callers 50 --rounds 2 --subjects bellwether --html "" --quiet >"$tmp/log" 2>&1
}

# noticed reports whether the scenario in $tmp/log ended in a check that is broken: one
# that could not be run has noticed nothing.
noticed() {
	grep -qE '^ +NO +(invariant|bar) ' "$tmp/log"
}

# benchmarks REGEXP runs the benchmarks that match, on 1 and on 8 threads, and prints the
# median of each figure. The first round warms up and is left out.
benchmarks() {
	local dirs
	cd "$root"
	mapfile -t dirs < <(grep -rlE --include='*_test.go' "^func Benchmark[A-Z]" . |
		grep -v '^./e2e/' | xargs -r -n 1 dirname | sort -u)
	((${#dirs[@]} > 0)) || fail "there are no benchmarks"
	go version
	[[ ! -r /proc/cpuinfo ]] || sed -n 's/^model name.*: //p' /proc/cpuinfo | sort | uniq -c
	printf '%-58s %14s  %s\n' benchmark median unit
	local dir
	for dir in "${dirs[@]}"; do
		go test -vet=off -run '^$' -bench "${1:-.}" -benchmem -cpu 1,8 -count 11 -timeout 30m "$dir" >"$tmp/log" 2>&1 || {
			cat "$tmp/log"
			fail "$dir: a benchmark failed"
		}
		medians "$tmp/log"
	done
}

# medians prints the median of every figure in a log of `go test -bench`.
medians() {
	awk '
		/^Benchmark/ && warm[$1]++ {
			for (i = 3; i < NF; i += 2) {
				key = $1 SUBSEP $(i + 1)
				if (!(key in n)) order[++keys] = key
				for (j = n[key]++; j > 0 && all[key, j] > $i + 0; j--) all[key, j + 1] = all[key, j]
				all[key, j + 1] = $i + 0
			}
		}
		END {
			for (k = 1; k <= keys; k++) {
				key = order[k]; m = n[key]; split(key, part, SUBSEP)
				printf "%-58s %14g  %s\n", part[1], m % 2 ? all[key, (m + 1) / 2] : (all[key, m / 2] + all[key, m / 2 + 1]) / 2, part[2]
			}
		}' "$1"
}

usage() {
	sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
	exit 2
}

command=${1:-all}
shift || true
case $command in
all) bench && planted && mutants "$root" ;;
mutants) mutants "$root" "$@" ;;
applies) applies ;;
check) check ;;
bench) bench "$@" ;;
planted) planted "$@" ;;
benchmarks) benchmarks "$@" ;;
*) usage ;;
esac
