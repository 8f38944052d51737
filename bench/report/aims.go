package report

import "math"

// Aim is a bound on a ratio of figures of one run.
type Aim struct {
	Name   string
	AtMost bool // else at least
	Bound  float64
	Ratio  func(find func(kind, contender string) []Sample) float64
}

// AimTable compares what was reached with the aims, those that this run has the figures of.
func AimTable(aims []Aim, kinds []Kind) string {
	find := func(kind, contender string) []Sample {
		for _, k := range kinds {
			if k.Name == kind {
				return k.Find(contender)
			}
		}
		return nil
	}
	rows := [][]string{{"aim", "bound", "reached", "met"}}
	for _, aim := range aims {
		reached := aim.Ratio(find)
		if math.IsNaN(reached) {
			continue
		}
		bound, met := "≥ ", reached >= aim.Bound
		if aim.AtMost {
			bound, met = "≤ ", reached <= aim.Bound
		}
		verdict := "no"
		if met {
			verdict = "yes"
		}
		rows = append(rows, []string{aim.Name, bound + number(aim.Bound, 2), number(reached, 2), verdict})
	}
	if len(rows) == 1 {
		return ""
	}
	return markdown(rows)
}
