package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Table returns the workloads as one table. Each figure has a ratio in parentheses: the first contender's figure divided by it, as the
// median over the rounds, and the quartiles of the rounds where they differ from it.
func Table(workloads []Workload) string {
	header := []string{"load", "contender"}
	for _, m := range Measures() {
		header = append(header, m.Name)
	}
	rows := [][]string{header}
	for _, workload := range workloads {
		for i, series := range workload.Series {
			row := []string{"", series.Contender}
			if i == 0 {
				row[0] = workload.Name
			}
			for _, m := range Measures() {
				row = append(row, cell(workload.Series[0].Samples, series.Samples, m, i > 0))
			}
			rows = append(rows, row)
		}
	}
	return markdown(rows)
}

func cell(ours, theirs []Sample, m Measure, compare bool) string {
	value := Median(theirs, m.Of)
	if math.IsNaN(value) {
		return "–"
	}
	text := number(value, m.Digits)
	if ratio := Ratio(ours, theirs, m.Of); compare && !math.IsNaN(ratio.Median) && !math.IsInf(ratio.Median, 0) {
		text += " (" + number(ratio.Median, 2)
		if quartiles := ratio.quartiles(); quartiles != "" {
			text += "; " + quartiles
		}
		text += ")"
	}
	return text
}

// quartiles formats them as 1.69–1.80. It returns "" when there are none, or when both round to the median.
func (s Spread) quartiles() string {
	low, high := number(s.Low, 2), number(s.High, 2)
	if math.IsNaN(s.Low) || low == number(s.Median, 2) && high == low {
		return ""
	}
	return low + "–" + high
}

// number groups thousands.
func number(value float64, digits int) string {
	text := strconv.FormatFloat(value, 'f', digits, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	return whole
}

// FootprintTable returns a table of the footprints.
func FootprintTable(footprints []Footprint) string {
	rows := [][]string{{"contender", "start to ready ms", "idle memory MB", "binary MB"}}
	for _, p := range footprints {
		binary := "–"
		if p.Binary > 0 {
			binary = number(float64(p.Binary)/1e6, 1)
		}
		rows = append(rows, []string{
			p.Contender, number(float64(p.Ready.Microseconds())/1e3, 0), number(float64(p.Idle)/1e6, 0), binary,
		})
	}
	return markdown(rows)
}

// markdown returns an aligned table, which is also readable as text. Figures are aligned to the right.
func markdown(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text), 3)
		}
	}
	var out strings.Builder
	for n, row := range rows {
		for i, text := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if isNumeric(rows, i) {
				text = pad + text
			} else {
				text += pad
			}
			fmt.Fprintf(&out, "| %s ", text)
		}
		out.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i, width := range widths {
			line := strings.Repeat("-", width)
			if isNumeric(rows, i) {
				line = line[1:] + ":"
			}
			fmt.Fprintf(&out, "| %s ", line)
		}
		out.WriteString("|\n")
	}
	return out.String()
}

// isNumeric reports whether a column has figures and not names.
func isNumeric(rows [][]string, column int) bool {
	switch rows[0][column] {
	case "load", "contender", "aim", "against":
		return false
	}
	return true
}
