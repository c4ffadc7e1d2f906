package bridge

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// mayImport says which of our packages each top-level package may import. A
// folder below counts as its top level, and may import that and its siblings.
var mayImport = map[string][]string{
	"session": {},
	"broker":  {},
	"speaker": {"speaker"},
	"bridge":  {"session", "speaker"},
	"cmd":     {"session", "broker", "speaker", "bridge", "cmd"},
}

// TestImports holds the layout: who may import whom, and that the core stands on
// the standard library alone.
func TestImports(t *testing.T) {
	files := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		rel := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		top, _, _ := strings.Cut(rel, "/")
		allowed, known := mayImport[top]
		if !known {
			t.Errorf("%s: no package of ours belongs in %s/", rel, top)
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			ours, is := strings.CutPrefix(imported, "hkw/")
			if top == "session" && strings.Contains(imported, ".") {
				t.Errorf("%s imports %s; the core stands on the standard library alone", rel, imported)
			}
			if !is {
				continue
			}
			ok := false
			for _, a := range allowed {
				ok = ok || ours == a || strings.HasPrefix(ours, a+"/")
			}
			if !ok {
				t.Errorf("%s imports %s", rel, imported)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Errorf("looked at %d files only", files)
	}
}
