-- Runs from before there was a choice measured gradients as they are, and every layer could lose all but one of its parts.
UPDATE "PruningRun"
SET "options" = '{"gradientScale": "NONE", "minKeepRatio": 0, "uniform": null}'::jsonb || "options"
WHERE NOT "options" ? 'gradientScale';
