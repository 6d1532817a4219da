package report

import (
	"fmt"
	"strings"
)

// String describes the machine on one line.
func (m Machine) String() string {
	cpu := clean(m.CPU)
	if cpu == "" {
		cpu = "unknown CPU"
	}
	parts := []string{cpu, plural(m.CPUs, "CPU", "CPUs"), clean(m.OS + "/" + m.Arch)}
	if m.Kernel != "" {
		parts = append(parts, "kernel "+clean(m.Kernel))
	}
	if m.Memory > 0 {
		parts = append(parts, m.memory())
	}
	return strings.Join(append(parts, m.load()), ", ")
}

func (m Machine) memory() string { return number(float64(m.Memory)/(1<<30)) + " GiB" }

func (m Machine) load() string {
	if m.Load < 0 {
		return "load before not known"
	}
	return fmt.Sprintf("load before %.2f", m.Load)
}

// String names the versions on one line, modules apart.
func (v Versions) String() string {
	parts := []string{"bellwether " + clean(v.Bellwether)}
	if v.Commit != "" {
		parts = append(parts, v.commit())
	}
	return strings.Join(append(parts, clean(v.Go), "Redis "+clean(v.Redis)), ", ")
}

// commit is what was built: a tree that differed from its commit says so.
func (v Versions) commit() string {
	if v.Modified {
		return "commit " + clean(v.Commit) + " modified"
	}
	return "commit " + clean(v.Commit)
}
