package main

import (
	"bufio"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store/storetest"
)

// family is a metric family as a server exports it.
type family struct {
	kind   string
	labels []string // in alphabetical order
}

var (
	typeLine   = regexp.MustCompile(`^# TYPE (\S+) (\S+)$`)
	sampleLine = regexp.MustCompile(`^([a-z_]+?)(_bucket|_sum|_count)?(?:\{(.*)\})? \S+$`)
	labelName  = regexp.MustCompile(`([a-z_]+)="`)
	metricName = regexp.MustCompile(`\b(?:clientapps|process|go)_[a-z_]+\b`)
	metricRow  = regexp.MustCompile("(?m)^\\| `(clientapps_[a-z_]+)` \\| ([a-z]+) \\| (.*?) \\|")
	quoted     = regexp.MustCompile("`([a-z_]+)`")
)

// exported returns the metrics of a server that has answered a request for an app.
func exported(t *testing.T) map[string]*family {
	t.Helper()
	s, metrics := startMeasured(t, storetest.SQLite(t), "--demo")
	s.as("demo-token").Patch(t, pageApp, `{"license_count":7}`)
	status, page := fetch(t, metrics+"/metrics")
	if status != http.StatusOK {
		t.Fatal(status)
	}
	found := map[string]*family{}
	for lines := bufio.NewScanner(strings.NewReader(page)); lines.Scan(); {
		if m := typeLine.FindStringSubmatch(lines.Text()); m != nil {
			found[m[1]] = &family{kind: m[2]}
			continue
		}
		m := sampleLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		f := found[m[1]]
		if f == nil {
			f = found[m[1]+m[2]]
		}
		for _, label := range labelName.FindAllStringSubmatch(m[3], -1) {
			if label[1] != "le" && !slices.Contains(f.labels, label[1]) {
				f.labels = append(f.labels, label[1])
			}
		}
		slices.Sort(f.labels)
	}
	return found
}

// Dashboard and alerts only use metrics that a server exports.
func TestDashboardAndAlertsNameWhatIsExported(t *testing.T) {
	t.Parallel()
	has := exported(t)
	for _, file := range []string{"deploy/grafana/clientapps.json", "deploy/prometheus/alerts.yml"} {
		names := metricName.FindAllString(read(t, file), -1)
		if len(names) == 0 {
			t.Errorf("%s names no metric", file)
		}
		for _, name := range names {
			if has[name] == nil && has[regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")] == nil {
				t.Errorf("%s: no server exports %s", file, name)
			}
		}
	}
}

func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	has := exported(t)
	rows := metricRow.FindAllStringSubmatch(read(t, "docs/metrics.md"), -1)
	documented := map[string]bool{}
	for _, row := range rows {
		name := row[1]
		documented[name] = true
		var labels []string
		for _, label := range quoted.FindAllStringSubmatch(row[3], -1) {
			labels = append(labels, label[1])
		}
		slices.Sort(labels)
		if f := has[name]; f == nil {
			t.Errorf("no server exports %s", name)
		} else if f.kind != row[2] || !slices.Equal(f.labels, labels) {
			t.Errorf("%s is a %s with %v, not a %s with %v", name, f.kind, f.labels, row[2], labels)
		}
	}
	for name := range has {
		if strings.HasPrefix(name, "clientapps_") && !documented[name] {
			t.Errorf("docs/metrics.md lacks %s", name)
		}
	}
}
