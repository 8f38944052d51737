package report

import "math"

// Aim is a bound on a ratio of figures of one run.
type Aim struct {
	Name   string
	AtMost bool // else at least
	Bound  float64
	Ratio  func(find func(workload, contender string) []Sample) Spread
}

// AimTable compares the results with the aims for which this run has figures.
func AimTable(aims []Aim, workloads []Workload) string {
	find := func(workload, contender string) []Sample {
		for _, w := range workloads {
			if w.Name == workload {
				return w.Find(contender)
			}
		}
		return nil
	}
	rows := [][]string{{"aim", "bound", "reached", "quartiles", "met"}}
	for _, aim := range aims {
		reached := aim.Ratio(find)
		if math.IsNaN(reached.Median) {
			continue
		}
		bound, met := "≥ ", reached.Median >= aim.Bound
		if aim.AtMost {
			bound, met = "≤ ", reached.Median <= aim.Bound
		}
		reachedAim := "no"
		if met {
			reachedAim = "yes"
		}
		rows = append(rows, []string{aim.Name, bound + number(aim.Bound, 2), number(reached.Median, 2), reached.quartiles(), reachedAim})
	}
	if len(rows) == 1 {
		return ""
	}
	return markdown(rows)
}
