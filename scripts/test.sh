#!/usr/bin/env bash
# Runs every check and every test of this repository, servers included, and ends with
# the seconds of each step. The public workflow runs exactly this.
#
# What is missing is installed on Debian and Ubuntu, as root or through sudo: a
# redis-server and a mariadbd binary, a C compiler and libc headers for the race detector,
# Chromium for the page of the bench harness. Elsewhere the list is printed and the script
# exits 1. No installed service is used, and none is started: the tests start servers of
# their own, on free loopback ports, and end them.
#
#   BELLWETHER_TEST_TIMEOUT   for each package's tests, default 480s
#   BELLWETHER_FUZZ_TIME      for each fuzz target, default 3s
set -Eeuo pipefail
export LC_ALL=C GOWORK=off PATH=$PATH:/usr/sbin # where Debian keeps mariadbd
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
((BASH_VERSINFO[0] >= 5)) || {
	echo "missing: bash 5 or newer (this is $BASH_VERSION)" >&2
	exit 1
}

timeout=${BELLWETHER_TEST_TIMEOUT:-480s}
fuzz_time=${BELLWETHER_FUZZ_TIME:-3s}

tmp=$(mktemp -d "${TMPDIR:-/tmp}/bellwether.XXXXXX")
export TMPDIR=$tmp
names=() took=() running=
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# finish prints the table, also after a failure, and removes what the run left.
finish() {
	local status=$? i
	if ((status != 0)) && [[ -n $running ]]; then
		names+=("$running: FAILED") took+=($((SECONDS - begun)))
	fi
	if ((${#names[@]} > 0)); then
		printf '\nseconds  step\n'
		for i in "${!names[@]}"; do
			printf '%7d  %s\n' "${took[i]}" "${names[i]}"
		done
		printf '%7d  all\n' "$SECONDS"
	fi
	if ((status == 0)); then
		printf '\n'
		cat "$tmp"/results.*
		not_asked_for
	fi
	# Module caches made by tests are read-only.
	chmod -R u+w "$tmp" 2>/dev/null || true
	rm -rf "$tmp"
}

not_asked_for() {
	cat <<-'END'

		not part of this run:
		  scripts/prove.sh mutants   takes out one mechanism at a time and wants a test to fail
		  scripts/prove.sh bench     latency, throughput and memory, on a quiet machine
		  govulncheck                known vulnerabilities; the public workflow runs it
	END
}

# step NAME COMMAND… runs one step; its failure ends the script.
step() {
	running=$1 begun=$SECONDS
	shift
	printf '\n== %s\n' "$running"
	"$@"
	names+=("$running") took+=($((SECONDS - begun)))
	running=
}

fail() {
	printf '%s\n' "$*" >&2
	exit 1
}

# at_least WANT GOT compares dotted versions.
at_least() {
	[[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]
}

# missing prints, one per line, the Debian packages of what is not there.
missing() {
	command -v redis-server >/dev/null || echo redis-server
	command -v mariadbd >/dev/null || echo mariadb-server
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || echo chromium
	command -v "${CC:-gcc}" >/dev/null || echo gcc
	echo '#include <stdlib.h>' | "${CC:-gcc}" -E -o /dev/null - 2>/dev/null || echo libc6-dev
}

# install is what root runs: a package that brings a service must not start it.
# shellcheck disable=SC2016 # it is expanded there
install='
	set -e
	policy=/usr/sbin/policy-rc.d
	if [[ ! -e $policy ]]; then
		trap "rm -f $policy" EXIT
		printf "#!/bin/sh\nexit 101\n" >$policy
		chmod +x $policy
	fi
	apt-get install -y -qq --no-install-recommends "$@"
'

prepare() {
	command -v go >/dev/null || fail "missing: Go 1.26 or newer, see https://go.dev/dl"
	local version want
	version=$(go env GOVERSION)
	at_least 1.26 "${version#go}" || fail "missing: Go 1.26 or newer (this is $version), see https://go.dev/dl"

	mapfile -t want < <(missing)
	if ((${#want[@]} > 0)); then
		local as_root=()
		((EUID == 0)) || as_root=(sudo)
		if ! command -v apt-get >/dev/null || ! command -v "${as_root[0]:-env}" >/dev/null; then
			fail "missing: ${want[*]} (Debian's names; install them and run this again)"
		fi
		echo "installing: ${want[*]}"
		"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
		"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive bash -c "$install" install "${want[@]}"
	fi
	version=$(redis-server --version | sed -n 's/.* v=\([0-9.]*\).*/\1/p')
	at_least 7.0 "$version" || fail "missing: redis-server 7.0 or newer (this is $version)"
	echo "$(go version), redis-server $version, $(getconf _NPROCESSORS_ONLN) CPUs"
}

# modules prints the folder of each go.mod; with_packages those that hold Go code.
modules() {
	find . -name go.mod -not -path '*/testdata/*' -exec dirname {} + | sort
}

with_packages() {
	local dir
	for dir in $(modules); do
		if [[ -n $(cd "$dir" && go list ./... 2>/dev/null) ]]; then
			echo "$dir"
		fi
	done
}

# each_module COMMAND… runs the command in the folder of every module with Go code.
each_module() {
	local dir
	for dir in $(with_packages); do
		(cd "$dir" && "$@")
	done
}

check_format() {
	local unformatted
	unformatted=$(gofmt -l .)
	[[ -z $unformatted ]] || fail "gofmt -w these:"$'\n'"$unformatted"
}

check_fix() {
	local diff
	diff=$("${raced[@]}" go fix -diff ./... 2>&1) || fail "go fix ./... would change this:"$'\n'"$diff"
	[[ -z $diff ]] || fail "$diff"
}

check_tidy() {
	local dir
	for dir in $(modules); do
		(cd "$dir" && go mod tidy -diff)
	done
}

check_static() {
	go build -C tools -o "$tmp/staticcheck" honnef.co/go/tools/cmd/staticcheck
	each_module "${raced[@]}" "$tmp/staticcheck" ./...
}

check_mutants() {
	scripts/prove.sh check >"$tmp/log.check" || {
		cat "$tmp/log.check"
		fail "scripts/prove.sh check failed"
	}
	scripts/prove.sh applies
}

# want_lines PATTERN FILE WHAT fails when nothing was run.
want_lines() {
	grep -q "$1" "$2" || fail "$3: nothing was run"
}

# go_test NAME ARG… runs tests with the race detector and keeps their result lines.
go_test() {
	local log=$tmp/log.$1 results=$tmp/results.$1
	shift
	go test -race -vet=off -count=1 -timeout "$timeout" "$@" 2>&1 | tee "$log"
	grep -E '^ok\s' "$log" | grep -v 'no tests to run' >"$results" || true
	want_lines . "$results" "go test $*"
}

test_policy() {
	go test -race -vet=off -count=1 -run '^TestRepo' . | tee "$tmp/log.policy"
	! grep -q 'no tests to run' "$tmp/log.policy" || fail "policy: nothing was run"
}

test_e2e() {
	(cd e2e && go_test 2-e2e ./...)
}

test_peers() {
	(cd bench/peers && go_test 3-peers ./...)
}

test_tools() {
	(cd tools && go_test 4-tools ./...)
}

# folders_with NAME prints the packages whose tests have functions of that prefix.
folders_with() {
	grep -rlE --include='*_test.go' --exclude-dir=testdata "^func $1[A-Z]" . |
		grep -v '^./e2e/' | xargs -r -n 1 dirname | sort -u
}

# fuzz builds each package with fuzz targets once, with coverage, and runs every
# target in it. An input that fails is kept in the package's testdata/fuzz.
fuzz() {
	local dir target targets=0 binary=$tmp/fuzz.test log=$tmp/log.fuzz
	for dir in $(folders_with Fuzz); do
		go test -vet=off -c -fuzz=. -o "$binary" "$dir"
		for target in $("$binary" -test.list '^Fuzz'); do
			(cd "$dir" && "$binary" -test.run='^$' -test.fuzz="^$target\$" -test.fuzztime="$fuzz_time" \
				-test.fuzzcachedir="$tmp/fuzzcache" -test.timeout="$timeout") >"$log" 2>&1 || {
				cat "$log"
				fail "$dir $target failed"
			}
			echo "$dir $target: $(grep 'execs:' "$log" | tail -n 1)"
			targets=$((targets + 1))
		done
	done
	((targets > 0)) || fail "fuzzing: nothing was run"
	echo "$targets targets, $fuzz_time each"
}

bench_once() {
	local dirs
	mapfile -t dirs < <(folders_with Benchmark)
	((${#dirs[@]} > 0)) || fail "benchmarks: there are none"
	go test -vet=off -run '^$' -bench . -benchtime 1x -timeout "$timeout" "${dirs[@]}" 2>&1 | tee "$tmp/log.bench"
	want_lines '^Benchmark' "$tmp/log.bench" benchmarks
}

export BELLWETHER_TEST_SERVERS=require

# Whatever is compiled only to be looked at is compiled as the tests are: once.
raced=(env GOFLAGS="$(go env GOFLAGS 2>/dev/null || true) -race")

step "prepare" prepare
step "go vet" each_module "${raced[@]}" go vet ./...
step "gofmt" check_format
step "go fix -diff" each_module check_fix
step "go mod tidy -diff" check_tidy
step "staticcheck" check_static
step "policy: docs, imports, modules" test_policy
step "mutants: runner, patches apply" check_mutants
step "tests, race detector, servers" go_test 1-all ./...
if [[ -f e2e/go.mod ]]; then
	step "e2e" test_e2e
fi
if [[ -f bench/peers/go.mod ]]; then
	step "peers of the bench, a small run" test_peers
fi
step "tools: the plot is what was measured" test_tools
step "fuzzing" fuzz
step "benchmarks, once each" bench_once
