"""How late each video shows what its recorded rows say: measured from the picture."""
