package authenticator

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The table of the documentation is this one.
func TestDocumentedEnds(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	for kind, advice := range kindAdvice {
		fmt.Fprintf(&table, "| %v | %s | %d | %s |\n", Kind(kind), advice.DOMException, advice.ExitStatus, advice.Hint)
	}
	document, err := os.ReadFile("../docs/ceremonies.md")
	require.NoError(t, err)
	require.Contains(t, string(document), "\n"+table.String(), "docs/ceremonies.md must have:\n%s", table.String())
}
