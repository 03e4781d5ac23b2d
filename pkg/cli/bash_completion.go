package cli

import (
	"bytes"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// bashFallback defines the two functions of the package bash-completion that cobra's script calls, where that package
// is not installed, as on macOS and in small images.
const bashFallback = `# Without the package bash-completion, these functions do what this script needs of it.
if ! declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref() {
        local line="${COMP_LINE:0:COMP_POINT}"
        read -ra words <<<"$line"
        [[ $line == *[[:space:]] ]] && words+=("")
        cword=$((${#words[@]} - 1))
        cur="${words[cword]}"
        prev=""
        ((cword > 0)) && prev="${words[cword - 1]}"
        return 0
    }
fi
if ! declare -F __ltrim_colon_completions >/dev/null; then
    __ltrim_colon_completions() {
        [[ $1 == *:* && $COMP_WORDBREAKS == *:* ]] || return 0
        local prefix="${1%"${1##*:}"}" i
        for i in "${!COMPREPLY[@]}"; do
            COMPREPLY[i]="${COMPREPLY[i]#"$prefix"}"
        done
    }
fi

`

// WriteBashCompletion writes the completion script for bash.
func WriteBashCompletion(root *cobra.Command, w io.Writer, descriptions bool) error {
	var script bytes.Buffer
	if err := root.GenBashCompletionV2(&script, descriptions); err != nil {
		return fmt.Errorf("writing the completion script: %w", err)
	}
	_, err := io.WriteString(w, bashFallback+script.String())
	return err
}

// adaptCompletion has cobra's command for a shell refuse arguments. For bash it prints the script of
// WriteBashCompletion.
func adaptCompletion(root, shell *cobra.Command) {
	shell.Args = refuseArgs
	if shell.Name() != "bash" {
		return
	}
	shell.RunE = func(cmd *cobra.Command, _ []string) error {
		plain, _ := cmd.Flags().GetBool("no-descriptions") // cobra adds the flag
		return WriteBashCompletion(root, cmd.OutOrStdout(), !plain)
	}
}
