package main

import (
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// examine runs doctor and returns its findings by what was checked.
func examine(t *testing.T, env environment, args ...string) (int, map[string]finding) {
	t.Helper()
	code, stdout, stderr := command(t, env, append([]string{"doctor", "--json"}, args...)...)
	var list []finding
	if err := json.Unmarshal([]byte(stdout), &list); err != nil {
		t.Fatalf("%v: %q %q", err, stdout, stderr)
	}
	found := map[string]finding{}
	for _, f := range list {
		found[f.Check] = f
		if (f.Level == levelProblem || f.Level == levelWarning) && f.Do == "" {
			t.Errorf("a problem without advice: %+v", f)
		}
	}
	return code, found
}

func TestDoctor(t *testing.T) {
	t.Setenv("PULSE_SERVER", "unix:"+filepath.Join(t.TempDir(), "nobody"))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	go func() { // a program that speaks neither MQTT nor HTTP
		for {
			c, err := taken.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "x")
	free := []string{"--mqtt-listen", "127.0.0.1:1", "--http-listen", "127.0.0.1:0"}
	tests := []struct {
		name string
		args []string
		code exitCode
		want map[string]level
	}{
		{"nothing there", free, exitRuntime, map[string]level{"configuration": levelOK, "broker": levelNote, "sound server": levelNote, "sound of hub home": levelProblem, "media": levelNote, "http-listen": levelOK, "data": levelOK}},
		{"a file", append(free, "--speaker", "a=wav:"+dir+"/a.wav", "--media", dir), exitOK, map[string]level{"speaker a": levelOK, "media": levelOK}},
		{"a file in a file", append(free, "--speaker", "a=wav:"+dir+"/file/a.wav"), exitRuntime, map[string]level{"speaker a": levelWarning, "sound of hub home": levelProblem}},
		{"a folder for a file", append(free, "--speaker", "a=wav:"+dir), exitRuntime, map[string]level{"speaker a": levelWarning, "sound of hub home": levelProblem}},
		{"one of two", append(free, "--speaker", "a=wav:"+dir+"/a.wav", "--speaker", "b=pulse:hall"), exitOK, map[string]level{"speaker a": levelOK, "speaker b": levelWarning}},
		{"silence by choice", append(free, "--speaker", "a=null"), exitRuntime, map[string]level{"speaker a": levelNote, "sound of hub home": levelProblem}},
		{"data folder", append(free, "--speaker", "a=wav:"+dir+"/a.wav", "--data", dir+"/file/x"), exitOK, map[string]level{"data": levelWarning}},
		{"media folder", append(free, "--speaker", "a=wav:"+dir+"/a.wav", "--media", "/nowhere"), exitRuntime, map[string]level{"media": levelProblem}},
		{"port in use", []string{"--speaker", "a=wav:" + dir + "/a.wav", "--mqtt-listen", "127.0.0.1:1", "--http-listen", taken.Addr().String()}, exitRuntime, map[string]level{"http-listen": levelProblem}},
		{"beyond loopback", []string{"--speaker", "a=wav:" + dir + "/a.wav", "--mqtt-listen", "127.0.0.1:1", "--http-listen", "0.0.0.0:0"}, exitRuntime, map[string]level{"http-listen": levelProblem}},
		{"broker away", append(free, "--speaker", "a=wav:"+dir+"/a.wav", "--broker", "tcp://127.0.0.1:1"), exitRuntime, map[string]level{"broker": levelProblem}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, found := examine(t, emptyEnv(t), tt.args...)
			if code != int(tt.code) {
				t.Errorf("exit code %d, want %d: %+v", code, tt.code, found)
			}
			for check, want := range tt.want {
				if found[check].Level != want {
					t.Errorf("%s: %+v, want %s", check, found[check], want)
				}
			}
			if _, left := found["speaker a"]; left && tt.code == exitOK && loudest(t, dir+"/a.wav") != 0 {
				t.Error("left a trace")
			}
		})
	}
}

// Where a hub runs already, its own speakers are what counts.
func TestDoctorOfRunningHub(t *testing.T) {
	t.Setenv("PULSE_SERVER", "unix:"+filepath.Join(t.TempDir(), "nobody"))
	b := serve(t, "--speaker", "a=wav:"+filepath.Join(t.TempDir(), "a.wav"))
	b.stderr.waitFor(t, `"message":"serving"`)
	at := []string{"--mqtt-listen", b.app.mqttAddr.String(), "--http-listen", b.app.httpAddr.String()}
	code, found := examine(t, b.env, at...)
	if code != 0 || found["broker"].Level != levelOK || found["hub home"].Level != levelOK || found["speaker a"].Level != levelOK {
		t.Errorf("%d %+v", code, found)
	}
	code, found = examine(t, b.env, append(at, "--hub", "never")...)
	if code != int(exitRuntime) || found["hub never"].Level != levelNote || !strings.Contains(found["http-listen"].Found, "another hkw") {
		t.Errorf("%d %+v", code, found)
	}
	code, stdout, _ := command(t, b.env, append([]string{"doctor"}, at...)...)
	if code != 0 || !like(strings.Split(stdout, "\n")[2], "ok       hub home       online") {
		t.Errorf("%d\n%s", code, stdout)
	}
	silent := serve(t)
	silent.stderr.waitFor(t, `"message":"serving"`)
	code, found = examine(t, b.env, "--broker", silent.app.reached().brokerURL())
	if code != int(exitRuntime) || !strings.Contains(found["speaker null"].Found, "nothing is heard") || found["sound of hub home"].Level != levelProblem {
		t.Errorf("%d %+v", code, found)
	}
}
