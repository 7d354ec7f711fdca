"""Reads plans from text: free text, JSON, and the strict one-line form."""
