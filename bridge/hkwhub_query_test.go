package bridge

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestDialectQuery(t *testing.T) {
	known := dialectLocal.knows(findDialectCommand("play_web_media_selected_speakers"))
	for query, want := range map[string]map[string]string{
		"":                                    {},
		"&&=&":                                {},
		"SessionID=1":                         {"SessionID": "1"},
		"SessionID":                           {"SessionID": ""},
		"sessionid=1&x=2":                     {},
		"SessionID=1&SessionID=2":             {"SessionID": "1"},
		"Session%49D=1":                       {"SessionID": "1"},
		"DeviceIDList=1%2C2,3&Priority=+7":    {"DeviceIDList": "1,2,3", "Priority": " 7"},
		"SessionID=1&x=2&MediaUrl=http://h/a": {"SessionID": "1", "MediaUrl": "http://h/a"},
		"MediaUrl=http://h/?a=1&b=2&SessionID=1&c=3": {"MediaUrl": "http://h/?a=1&b=2", "SessionID": "1"},
		"MediaUrl=http://h/?MediaUrl=x&MediaUrl=y&z": {"MediaUrl": "http://h/?MediaUrl=x"},
		"MediaUrl=http%3A%2F%2Fh%2Fa+b%2Bc":          {"MediaUrl": "http://h/a b+c"},
		"MediaUrl=http://h/a+b%20c":                  {"MediaUrl": "http://h/a+b c"},
		"MediaUrl=http://h/100%&SessionID=1":         {"MediaUrl": "http://h/100%", "SessionID": "1"},
		"MediaUrl=http://h/;x;y":                     {"MediaUrl": "http://h/;x;y"},
		"Priority=5%":                                {"Priority": "5%"},
	} {
		if got := dialectQuery(query, known); !maps.Equal(got, want) {
			t.Errorf("%s\n got %v\nwant %v", query, got, want)
		}
	}
}

func TestURLParam(t *testing.T) {
	for in, want := range map[string]string{
		"http://h/a":                "http://h/a",
		" http://h/a ":              "http://h/a",
		"https://u:p@h:8/a (b) [c]": "https://u:p@h:8/a%20(b)%20[c]",
		"http://h/?q=a b":           "http://h/?q=a%20b",
		"http://h/%41%zz%":          "http://h/%41%25zz%25",
		"http://h/\"<>|^`{}\\":      "http://h/%22%3C%3E%7C%5E%60%7B%7D%5C",
		"http://h/ü":                "http://h/%C3%BC",
		"HTTP://h/a":                "HTTP://h/a",
		"http:///a":                 "",
		"ftp://h/a":                 "",
		"doorbell":                  "",
		"http://h/\n":               "http://h/",
		"http://h/\x00":             "",
		"http://h/\xff":             "",
		"javascript:alert(1)":       "",
		"http://" + strings.Repeat("h", maxParam): "",
		"": "",
	} {
		got, ok := urlParam(in)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q %v, want %q", in, got, ok, want)
		}
		if again, _ := urlParam(got); ok && again != got {
			t.Errorf("%q became %q and then %q", in, got, again)
		}
	}
}

func FuzzDialectQuery(f *testing.F) {
	f.Add("SessionID=1&MediaUrl=http://h/?a=1&b=2")
	f.Add("MediaUrl=http%3A%2F%2Fh%2F%3Fa%3D1%26b%3D2&SessionID=1&Priority=200&DeviceIDList=1,2")
	f.Add("&=%&SessionID=%zz;")
	known := dialectLocal.knows(findDialectCommand("play_web_media_selected_speakers"))
	f.Fuzz(func(t *testing.T, query string) {
		got := dialectQuery(query, known)
		for name := range got {
			if !known(name) {
				t.Fatalf("%q has a parameter %q", query, name)
			}
		}
		// What a careful client encodes is read as it was meant, whatever it is.
		meant := url.Values{}
		for name, value := range got {
			meant.Set(name, value)
		}
		again := dialectQuery(meant.Encode(), known)
		names := slices.Sorted(maps.Keys(got))
		for _, name := range names {
			if again[name] != got[name] {
				t.Fatalf("%q: %s is %q, encoded again %q", query, name, got[name], again[name])
			}
		}
		if u, ok := urlParam(got["MediaUrl"]); ok {
			if parsed, err := url.Parse(u); err != nil || parsed.Host == "" || strings.ContainsAny(u, " \r\n") {
				t.Fatalf("%q gave the URL %q: %v", query, u, err)
			}
		}
	})
}
