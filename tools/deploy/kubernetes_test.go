package deploy

import (
	"bytes"
	"encoding/base64"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// manifests has the resources that kustomize builds from the folder, decoded strictly: an unknown or misspelled field is an error.
type manifests struct {
	deployment apps.Deployment
	job        batch.Job
	service    core.Service
	budget     policy.PodDisruptionBudget
	network    networking.NetworkPolicy
	account    core.ServiceAccount
	namespace  core.Namespace
}

func readManifests(t *testing.T) *manifests {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	m, seen := &manifests{}, 0
	for _, resource := range made.Resources() {
		into, ok := map[string]any{
			"Deployment": &m.deployment, "Job": &m.job, "Service": &m.service, "PodDisruptionBudget": &m.budget,
			"NetworkPolicy": &m.network, "ServiceAccount": &m.account, "Namespace": &m.namespace,
		}[resource.GetKind()]
		if !ok {
			t.Fatalf("no test checks a %s", resource.GetKind())
		}
		text, err := resource.AsYAML()
		if err == nil {
			err = yaml.UnmarshalStrict(text, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", resource.GetKind(), err)
		}
		seen++
	}
	if seen != 7 {
		t.Fatalf("%d resources", seen)
	}
	return m
}

// TestManifestFiles decodes the files strictly, since kustomize ignores unknown fields. No file has a secret.
func TestManifestFiles(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir("kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile("kubernetes/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("kind: Secret\n")) || bytes.Contains(text, []byte("\n---")) {
			t.Errorf("%s has a secret, or several documents", file.Name())
		}
	}
	readManifests(t)
}

// TestPodsAreHardened checks that server and job satisfy the restricted policy of the namespace, and have bounds for memory.
func TestPodsAreHardened(t *testing.T) {
	t.Parallel()
	m := readManifests(t)
	for name, pod := range map[string]core.PodSpec{"server": m.deployment.Spec.Template.Spec, "job": m.job.Spec.Template.Spec} {
		s := pod.SecurityContext
		if s == nil || !is(s.RunAsNonRoot, true) || s.RunAsUser == nil || *s.RunAsUser == 0 || s.SeccompProfile == nil ||
			s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault || !is(pod.AutomountServiceAccountToken, false) ||
			!is(pod.EnableServiceLinks, false) || pod.ServiceAccountName != m.account.Name || pod.HostNetwork || pod.HostPID || pod.HostIPC {
			t.Errorf("the pod of the %s is not hardened", name)
		}
		for _, c := range pod.Containers {
			s := c.SecurityContext
			if s == nil || !is(s.ReadOnlyRootFilesystem, true) || !is(s.AllowPrivilegeEscalation, false) || s.Capabilities == nil ||
				!slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 || is(s.Privileged, true) {
				t.Errorf("the container of the %s is not hardened", name)
			}
			if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
				t.Errorf("the container of the %s has no bounds", name)
			}
			wantMemory(t, "the container of the "+name, goMemLimit(c.Env), c.Resources.Limits.Memory().Value(), name == "server")
			for _, v := range c.Env {
				if v.Name == "GOMEMLIMIT" {
					continue
				}
				if v.Value != "" || v.ValueFrom == nil || v.ValueFrom.SecretKeyRef == nil {
					t.Errorf("%s of the %s is not from a secret", v.Name, name)
				}
			}
			wantStarts(t, c.Args, c.Env)
		}
	}
	if m.namespace.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		t.Error("the namespace does not enforce the restricted policy")
	}
}

func is(b *bool, want bool) bool { return b != nil && *b == want }

// wantStarts runs the program with these arguments and variables, and the URL of a database that does not exist. It must exit with 1,
// because of the database. A misspelled flag, value or variable would make it exit with 2.
func wantStarts(t *testing.T, args []string, env []core.EnvVar) {
	t.Helper()
	var environ []string
	for _, v := range env {
		value := v.Value
		switch v.Name {
		case "CLIENTAPPS_DATABASE_URL":
			value = "postgres://nobody@127.0.0.1:1/nothing?connect_timeout=1"
		case "CLIENTAPPS_WEBHOOK_KEY":
			value = base64.StdEncoding.EncodeToString(make([]byte, 32))
		}
		environ = append(environ, v.Name+"="+value)
	}
	args = slices.Clone(args)
	for i := range args {
		args[i] = strings.Replace(args[i], "--migrate=false", "--migrate=true", 1) // so that it ends at once without a database
	}
	if code, out := exitCode(t, environ, args...); code != 1 || !strings.Contains(out, "database unavailable") {
		t.Errorf("%q ends with %d: %s", args, code, out)
	}
}

// TestProbes compares probes, ports and labels of the manifests with one another and with the server.
func TestProbes(t *testing.T) {
	t.Parallel()
	m := readManifests(t)
	c := m.deployment.Spec.Template.Spec.Containers[0]
	url := startServer(t)
	for path, probe := range map[string]*core.Probe{"/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != c.Ports[0].Name {
			t.Fatalf("the probe of %s is %+v", path, probe)
		}
		if got := status(t, url+probe.HTTPGet.Path); got != 200 {
			t.Errorf("%s answers %d", path, got)
		}
	}
	if c.StartupProbe == nil || c.StartupProbe.HTTPGet.Path != "/healthz" {
		t.Errorf("the startup probe is %+v", c.StartupProbe)
	}
	if !slices.Contains(c.Args, "--addr=0.0.0.0:8080") || c.Ports[0].ContainerPort != 8080 ||
		m.network.Spec.Ingress[0].Ports[0].Port.IntValue() != 8080 || m.service.Spec.Ports[0].TargetPort.StrVal != c.Ports[0].Name {
		t.Error("the ports differ")
	}
	labels := m.deployment.Spec.Template.Labels
	for name, selector := range map[string]map[string]string{
		"deployment": m.deployment.Spec.Selector.MatchLabels, "service": m.service.Spec.Selector,
		"budget": m.budget.Spec.Selector.MatchLabels, "network policy": m.network.Spec.PodSelector.MatchLabels,
	} {
		if len(selector) == 0 || !selects(selector, labels) {
			t.Errorf("the %s selects %v, not %v", name, selector, labels)
		}
	}
	if selects(m.service.Spec.Selector, m.job.Spec.Template.Labels) {
		t.Error("the service sends requests to the job")
	}
}

func selects(selector, labels map[string]string) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}
	return true
}

// TestShutdownTimes checks the manifests against docs/rollout.md: a pod is unready for longer than the probe needs to notice, and is killed
// only after the drain delay and the shutdown timeout. No pod is removed before its replacement is ready.
func TestShutdownTimes(t *testing.T) {
	t.Parallel()
	d := readManifests(t).deployment.Spec
	c := d.Template.Spec.Containers[0]
	drain, shutdown := duration(t, c.Args, "--drain-delay="), duration(t, c.Args, "--shutdown-timeout=")
	noticed := time.Duration(c.ReadinessProbe.FailureThreshold*(c.ReadinessProbe.PeriodSeconds+c.ReadinessProbe.TimeoutSeconds)) * time.Second
	if drain <= noticed {
		t.Errorf("drains for %v, but the probe notices after %v", drain, noticed)
	}
	if grace := time.Duration(*d.Template.Spec.TerminationGracePeriodSeconds) * time.Second; grace <= drain+shutdown {
		t.Errorf("killed after %v, but may need %v", grace, drain+shutdown)
	}
	if d.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 || *d.Replicas < 2 || len(d.Template.Spec.TopologySpreadConstraints) == 0 {
		t.Error("a rollout or the failure of a machine leaves too few servers")
	}
}

func duration(t *testing.T, args []string, flag string) time.Duration {
	t.Helper()
	for _, arg := range args {
		if value, ok := strings.CutPrefix(arg, flag); ok {
			d, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	}
	t.Fatalf("no %s in %q", flag, args)
	return 0
}
