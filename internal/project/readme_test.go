package project

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The Go programs in the README build as they stand there.
func TestProgramsInTheREADMEBuild(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	programs := regexp.MustCompile("(?s)```go\n(package main\n.*?)```").FindAllSubmatch(readme, -1)
	require.NotEmpty(t, programs)
	for _, program := range programs {
		file := filepath.Join(t.TempDir(), "main.go")
		require.NoError(t, os.WriteFile(file, program[1], 0o600))
		cmd := exec.Command("go", "vet", file)
		cmd.Dir = "../.."
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}

// The README names every package that users can import.
func TestTheREADMENamesEveryPackage(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	for folder := range mayImport {
		if !strings.HasPrefix(folder, "internal/") {
			require.Contains(t, string(readme), "`"+folder+"`")
		}
	}
}

// The documents refer to what is there.
func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	list, err := exec.Command("git", "-C", "../..", "ls-files", "*.md").Output()
	if err != nil {
		t.Skip("no git to list the documents: ", err)
	}
	links := 0
	for path := range strings.FieldsSeq(string(list)) {
		text, err := os.ReadFile(filepath.Join("../..", path))
		require.NoError(t, err)
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)[^):]*\)`).FindAllSubmatch(text, -1) {
			_, err := os.Stat(filepath.Join("../..", filepath.Dir(path), string(link[1])))
			require.NoError(t, err, "%s: %s", path, link[0])
			links++
		}
	}
	require.Greater(t, links, 30)
}

// Each example has its line in the table.
func TestTheTableOfExamples(t *testing.T) {
	table, err := os.ReadFile("../../examples/README.md")
	require.NoError(t, err)
	folders, err := os.ReadDir("../../examples")
	require.NoError(t, err)
	for _, folder := range folders {
		if folder.IsDir() {
			require.Contains(t, string(table), "("+folder.Name()+"/", "examples/README.md")
		}
	}
}
