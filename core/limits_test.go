package core

import (
	"math"
	"testing"
)

func TestLimitsUnderACeiling(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct{ own, ceiling, want Limits }{
		{Limits{}, Limits{}, Limits{}},
		{Limits{}, Limits{Memory: 64 * mib, CPUSeconds: 2, Processes: 9, Isolation: Fork}, Limits{64 * mib, 2, 9, Fork}},
		{Limits{Memory: 32 * mib, CPUSeconds: 1, Processes: 3, Isolation: Fresh}, Limits{64 * mib, 2, 9, Fork}, Limits{32 * mib, 1, 3, Fresh}},
		{Limits{Memory: 128 * mib, CPUSeconds: 4, Processes: 30, Isolation: Warm}, Limits{64 * mib, 2, 9, Fork}, Limits{64 * mib, 2, 9, Fork}},
		{Limits{Memory: 32 * mib}, Limits{Processes: 9, Isolation: Warm}, Limits{Memory: 32 * mib, Processes: 9}},
	} {
		if got := c.own.Under(c.ceiling); got != c.want {
			t.Errorf("%+v under %+v is %+v, want %+v", c.own, c.ceiling, got, c.want)
		}
	}
}

func TestLimitsThatMakeNoSense(t *testing.T) {
	for _, l := range []Limits{
		{Memory: -1}, {Memory: 1}, {Memory: MaxMemory + 1}, {CPUSeconds: -1}, {CPUSeconds: math.NaN()}, {CPUSeconds: math.Inf(1)},
		{Processes: -1}, {Processes: MaxProcesses + 1}, {Isolation: "cold"},
	} {
		if err := l.Validate(); ClassOf(err) != ErrInvalid {
			t.Errorf("%+v: %v", l, err)
		}
	}
	if err := (Limits{MinMemory, 0.01, 1, Fresh}).Validate(); err != nil {
		t.Error(err)
	}
}
