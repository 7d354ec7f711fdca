"""From text to plans: free text, JSON, the strict one-line form."""
